#include "notify.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "remote_memory.hpp"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
// NOLINTNEXTLINE(readability-identifier-naming): the kernel's name, which older headers lack
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace stemma::hooks {

namespace {

/// SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP of Linux 6.6: both sides take turns on one processor.
constexpr std::uint64_t wake_in_turns = 1;

long set_filter(unsigned flags, const sock_fprog& program) noexcept
{
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

long set_filter_with_rights(unsigned flags, const sock_fprog& program) noexcept
{
    const long listener = set_filter(flags, program);
    if (listener >= 0 || errno != EACCES) {
        return listener;
    }
    // Without CAP_SYS_ADMIN the kernel asks for a promise not to gain rights.
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return set_filter(flags, program);
}

bool receive(int listener, std::vector<char>& request)
{
    std::fill(request.begin(), request.end(), '\0');
    return ::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request.data()) == 0;
}

void go_on(int listener, std::uint64_t id, std::vector<char>& response)
{
    std::fill(response.begin(), response.end(), '\0');
    seccomp_notif_resp answer{};
    answer.id = id;
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    std::memcpy(response.data(), &answer, sizeof answer);
    // ENOENT: the process was killed meanwhile.
    static_cast<void>(::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, response.data()));
}

seccomp_notif_sizes sizes() noexcept
{
    seccomp_notif_sizes sizes{};
    if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
        sizes.seccomp_notif = sizeof(seccomp_notif);
        sizes.seccomp_notif_resp = sizeof(seccomp_notif_resp);
    }
    return sizes;
}

int folder_of(std::uint64_t argument) noexcept
{
    return static_cast<int>(static_cast<std::uint32_t>(argument));
}

pid_t thread_of(const seccomp_notif& event) noexcept
{
    return static_cast<pid_t>(event.pid);
}

} // namespace

int install_filter(const std::vector<sock_filter>& filter) noexcept
{
    sock_fprog program{static_cast<unsigned short>(filter.size()),
                       const_cast<sock_filter*>(filter.data())}; // the kernel only reads it
    long listener = set_filter_with_rights(
        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
    if (listener < 0 && errno == EINVAL) { // before Linux 5.19
        listener = set_filter_with_rights(SECCOMP_FILTER_FLAG_NEW_LISTENER, program);
    }
    return static_cast<int>(listener);
}

Notifications::Notifications(Fd listener, Session& session, std::string library)
    : listener_(std::move(listener)), session_(session), lanes_(std::move(library))
{
    const auto size = sizes();
    request_.resize(std::max<std::size_t>(size.seccomp_notif, sizeof(seccomp_notif)));
    response_.resize(std::max<std::size_t>(size.seccomp_notif_resp, sizeof(seccomp_notif_resp)));
    static_cast<void>(::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, wake_in_turns));
}

bool Notifications::answer_one()
{
    if (!receive(listener_.get(), request_)) {
        return false;
    }
    seccomp_notif event{};
    std::memcpy(&event, request_.data(), sizeof event);
    bool waits = true;
    try {
        waits = tell(event);
    } catch (...) {
        lost_ = true; // out of memory: the build goes on, the record has a hole
    }
    if (waits) {
        go_on(listener_.get(), event.id, response_);
    }
    return true;
}

void Notifications::read_lanes()
{
    try {
        lanes_.read([this](pid_t process, std::string_view path, const struct stat& info) {
            if (!lanes_.is_library(path)) {
                session_.opened(process, path, info);
            }
        });
    } catch (...) {
        lost_ = true;
    }
}

bool Notifications::text(const seccomp_notif& event, unsigned argument, std::string& into)
{
    if (read_text(thread_of(event), event.data.args[argument], into)) {
        return true;
    }
    // A null or wild pointer fails in the kernel too; only a refusal is ours.
    if (errno == EPERM || errno == ESRCH) {
        session_.hole(thread_of(event), "its memory may not be read");
    }
    return false;
}

bool Notifications::tell(const seccomp_notif& event)
{
    const auto call = call_of(event.data.arch, event.data.nr);
    read_lanes(); // before this process writes, renames, runs or ends anything
    switch (call) {
    case Call::open:
    case Call::openat:
    case Call::openat2:
    case Call::creat:
    case Call::truncate:
        return tell_open(event, call);
    case Call::execve:
    case Call::execveat:
        tell_exec(event, call);
        break;
    case Call::rename:
    case Call::renameat:
    case Call::renameat2:
    case Call::link:
    case Call::linkat:
    case Call::symlink:
    case Call::symlinkat:
        tell_name(event, call);
        break;
    case Call::chdir:
        session_.changes_folder(thread_of(event));
        break;
    case Call::exit_group:
        lanes_.release(
            session_.exits(thread_of(event), static_cast<int>(event.data.args[0] & 0xffU)));
        break;
    case Call::io_uring:
        session_.hole(thread_of(event), "uses io_uring: its opens are not seen");
        break;
    case Call::x32:
        session_.hole(thread_of(event), "is of the x32 ABI: nothing of it is seen");
        break;
    case Call::unknown:
        break;
    }
    return true;
}

/// Flags of an open in the words of open(2); nullopt when they cannot be read.
std::optional<int> Notifications::flags_of(const seccomp_notif& event, Call call)
{
    const auto& args = event.data.args;
    switch (call) {
    case Call::creat:
        return O_WRONLY | O_CREAT | O_TRUNC;
    case Call::truncate:
        return O_WRONLY;
    case Call::openat2: {
        open_how how{};
        return read_bytes(thread_of(event), args[2], &how, sizeof how)
                   ? std::optional(static_cast<int>(how.flags))
                   : std::nullopt;
    }
    case Call::openat:
        return static_cast<int>(args[2]);
    default:
        return static_cast<int>(args[1]);
    }
}

bool Notifications::tell_open(const seccomp_notif& event, Call call)
{
    const auto& args = event.data.args;
    const bool has_folder = call == Call::openat || call == Call::openat2;
    std::string path;
    if (!text(event, has_folder ? 1 : 0, path)) {
        return true;
    }
    if (Lanes::is_hello(path)) {
        return !lanes_.grant(listener_.get(), event.id, session_.process_id(thread_of(event)));
    }
    const auto flags = flags_of(event, call);
    if (flags && (*flags & (O_PATH | O_DIRECTORY)) == 0 && !lanes_.is_library(path)) {
        session_.opens(thread_of(event), has_folder ? folder_of(args[0]) : AT_FDCWD, path, *flags);
    }
    return true;
}

void Notifications::tell_name(const seccomp_notif& event, Call call)
{
    const auto& args = event.data.args;
    const pid_t thread = thread_of(event);
    std::string from;
    std::string to;
    int from_folder = AT_FDCWD;
    int to_folder = AT_FDCWD;
    bool read = false;
    if (call == Call::rename || call == Call::link || call == Call::symlink) {
        read = text(event, 0, from) && text(event, 1, to);
    } else if (call == Call::symlinkat) {
        to_folder = folder_of(args[1]);
        read = text(event, 0, from) && text(event, 2, to);
    } else {
        from_folder = folder_of(args[0]);
        to_folder = folder_of(args[2]);
        read = text(event, 1, from) && text(event, 3, to);
    }
    if (!read) {
        return;
    }
    if (call == Call::rename || call == Call::renameat || call == Call::renameat2) {
        constexpr std::uint64_t no_replace = 1; // RENAME_NOREPLACE
        const bool must_be_new = call == Call::renameat2 && (args[4] & no_replace) != 0;
        session_.renames(thread, {from_folder, from}, {to_folder, to}, must_be_new);
        return;
    }
    if (call == Call::symlink || call == Call::symlinkat) {
        session_.symlinks(thread, from, {to_folder, to});
        return;
    }
    session_.links(thread, {from_folder, from}, {to_folder, to});
}

void Notifications::tell_exec(const seccomp_notif& event, Call call)
{
    const auto& args = event.data.args;
    const bool has_folder = call == Call::execveat;
    lanes_.settle();
    std::string path;
    if (!text(event, has_folder ? 1 : 0, path)) {
        return;
    }
    const auto arguments = [&] {
        std::vector<std::string> argv;
        const bool is_whole = read_texts(
            thread_of(event), args[has_folder ? 2 : 1], is_narrow(event.data.arch), argv);
        if (!is_whole) {
            session_.hole(thread_of(event), "its arguments cannot be read");
        }
        return argv;
    };
    const auto program = session_.executes(
        thread_of(event), has_folder ? folder_of(args[0]) : AT_FDCWD, path, arguments);
    if (program && !is_narrow(event.data.arch)) {
        lanes_.invite(program->process, program->parent, program->path, args[has_folder ? 3 : 2]);
    }
}

void answer_forever(int listener) noexcept
{
    const auto size = sizes();
    try {
        std::vector<char> request(std::max<std::size_t>(size.seccomp_notif, sizeof(seccomp_notif)));
        std::vector<char> response(
            std::max<std::size_t>(size.seccomp_notif_resp, sizeof(seccomp_notif_resp)));
        for (;;) {
            pollfd wanted{listener, POLLIN, 0};
            if (::poll(&wanted, 1, -1) < 0 && errno != EINTR) {
                return;
            }
            if ((wanted.revents & POLLIN) != 0 && receive(listener, request)) {
                std::uint64_t id = 0;
                std::memcpy(&id, request.data(), sizeof id);
                go_on(listener, id, response);
            } else if ((wanted.revents & (POLLHUP | POLLERR)) != 0) {
                return;
            }
        }
    } catch (...) { // NOLINT(bugprone-empty-catch): out of memory at its start: nobody to tell
    }
}

} // namespace stemma::hooks
