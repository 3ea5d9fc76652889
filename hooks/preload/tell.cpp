#include "tell.hpp"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cerrno>

#include "../lane/raw_call.hpp"

namespace stemma::hooks::preload {

namespace {

struct Observer {
    sockaddr_un socket{};
    unsigned socket_size = 0; ///< 0: there is none
    char address[longest_path]{};
    const char* library = "";
};
constinit Observer observer; // this library's own beginning comes before any initialiser

unsigned size_of(const char* text)
{
    const auto size = text == nullptr ? 0 : strlen(text);
    return static_cast<unsigned>(size < longest_path ? size : longest_path);
}

/// A file with the texts of a list; -1 when it cannot be made.
int file_of(char* const* list)
{
    const long fd = raw_call(SYS_memfd_create, raw("stemma"), MFD_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    for (; list != nullptr && *list != nullptr; ++list) {
        const char* text = *list;
        unsigned long left = strlen(text) + 1;
        while (left > 0) {
            const long done = raw_call(SYS_write, fd, raw(text), static_cast<long>(left));
            if (done <= 0) {
                left = 0;
                continue;
            }
            text += done;
            left -= static_cast<unsigned long>(done);
        }
    }
    return static_cast<int>(fd);
}

void close_raw(int fd)
{
    if (fd >= 0) {
        raw_call(SYS_close, fd, 0, 0);
    }
}

void send(const Event& event, int answer, int list)
{
    Message message{event.kind,
                    event.folder,
                    event.second_folder,
                    event.flags,
                    size_of(event.path),
                    size_of(event.second),
                    answer >= 0 ? 1U : 0U,
                    list >= 0 ? 1U : 0U};
    iovec pieces[3] = {{&message, sizeof message},
                       {const_cast<char*>(event.path), message.path_size},
                       {const_cast<char*>(event.second), message.second_size}};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr header{};
    header.msg_name = &observer.socket;
    header.msg_namelen = observer.socket_size;
    header.msg_iov = pieces;
    header.msg_iovlen = 3;
    const int fds[2] = {answer >= 0 ? answer : list, list};
    const unsigned count = (answer >= 0 ? 1U : 0U) + (list >= 0 ? 1U : 0U);
    if (count > 0) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    }
    const long socket = raw_call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) {
        return;
    }
    while (raw_call(SYS_sendmsg, socket, raw(&header), MSG_NOSIGNAL) == -EINTR) {
    }
    close_raw(static_cast<int>(socket));
}

} // namespace

void find_observer(char** environment)
{
    const auto length = strlen(variable);
    for (; environment != nullptr && *environment != nullptr; ++environment) {
        if (strncmp(*environment, variable, length) != 0 || (*environment)[length] != '=') {
            continue;
        }
        const char* value = *environment + length + 1;
        const char* colon = strchr(value, ':');
        const auto path = colon == nullptr ? 0 : static_cast<unsigned long>(colon - value);
        if (path == 0 || path >= sizeof observer.socket.sun_path ||
            strlen(value) >= sizeof observer.address) {
            return;
        }
        observer.socket.sun_family = AF_UNIX;
        memcpy(observer.socket.sun_path, value, path);
        strcpy(observer.address, value); // NOLINT: its length was looked at
        observer.library = observer.address + path + 1;
        observer.socket_size = sizeof observer.socket;
        return;
    }
}

const char* library()
{
    return observer.library;
}

const char* address()
{
    return observer.address;
}

void tell(const Event& event)
{
    if (observer.socket_size != 0) {
        send(event, -1, -1);
    }
}

Answer tell_and_wait(const Event& event)
{
    int ends[2] = {-1, -1};
    if (observer.socket_size == 0 || raw_call(SYS_pipe2, raw(ends), O_CLOEXEC, 0) != 0) {
        return Answer::go_on;
    }
    const int list = event.list == nullptr ? -1 : file_of(event.list);
    send(event, ends[1], list);
    close_raw(list);
    // Ours is closed: when the observer goes, or never was, the pipe ends and nobody waits.
    close_raw(ends[1]);
    unsigned char answer = 0;
    while (raw_call(SYS_read, ends[0], raw(&answer), 1) == -EINTR) {
    }
    close_raw(ends[0]);
    return answer == static_cast<unsigned char>(Answer::alone) ? Answer::alone : Answer::go_on;
}

} // namespace stemma::hooks::preload
