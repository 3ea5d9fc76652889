#include "starter.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "filter.hpp"
#include "notify.hpp"

namespace stemma::hooks {

namespace {

/// What the child tells before it becomes the command, and when it cannot.
struct Report {
    int filter_error = 0; ///< errno of the filter; 0: the listener came along, or was not wanted
    int start_error = 0;  ///< errno of exec
};

/// The longest environment that let_go() sends.
constexpr std::size_t most_arguments = 32768;

void send_report(int socket, const Report& report, int listener) noexcept
{
    iovec data{const_cast<Report*>(&report), sizeof report};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (listener >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof listener);
        std::memcpy(CMSG_DATA(header), &listener, sizeof listener);
    }
    while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

bool receive_report(int socket, Report& report, Fd& listener) noexcept
{
    iovec data{&report, sizeof report};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = 0;
    do {
        got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
        got > 0 && header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
        listener = Fd(fd);
    }
    return got == static_cast<ssize_t>(sizeof report);
}

/// Takes let_go()'s words into the environment. They stay where they are: putenv() keeps pointers.
void take_environment(int socket) noexcept
{
    static std::array<char, most_arguments> words;
    ssize_t got = 0;
    do {
        got = ::recv(socket, words.data(), words.size() - 1, 0);
    } while (got < 0 && errno == EINTR);
    for (ssize_t at = 0; at < got;) {
        char* word = words.data() + at;
        const auto size = static_cast<ssize_t>(::strnlen(word, static_cast<std::size_t>(got - at)));
        if (size > 0) {
            ::putenv(word); // NOLINT(concurrency-mt-unsafe): one thread, after fork
        }
        at += size + 1;
    }
}

} // namespace

Starter::Starter(std::vector<std::string> argv, bool filtered, bool waits)
    : arguments_(std::move(argv)), waits_(waits)
{
    if (filtered) {
        filter_ = make_filter();
    }
    for (auto& argument : arguments_) {
        argv_.push_back(argument.data());
    }
    argv_.push_back(nullptr);
}

int Starter::start(const sigset_t& mask)
{
    std::array<int, 2> sockets{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
        return errno;
    }
    socket_ = Fd(sockets[0]);
    Fd theirs(sockets[1]);
    child_ = ::fork();
    if (child_ == 0) {
        socket_.reset();
        become(theirs.get(), mask);
    }
    theirs.reset();
    if (child_ < 0) {
        return errno;
    }
    Report report;
    const bool reported = receive_report(socket_.get(), report, listener_);
    has_listener_ = static_cast<bool>(listener_);
    filter_error_ = reported ? report.filter_error : EIO;
    return 0;
}

void Starter::let_go(const std::vector<std::string>& environment)
{
    if (has_listener_ || !waits_) {
        return; // what nobody reads would end the connection with an error
    }
    std::string words;
    for (const auto& word : environment) {
        words.append(word).push_back('\0');
    }
    if (words.empty() || words.size() >= most_arguments) {
        words.assign(1, '\0');
    }
    while (::send(socket_.get(), words.data(), words.size(), MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

int Starter::start_error()
{
    Report late;
    Fd unused;
    const bool told = ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK) == 0 &&
                      receive_report(socket_.get(), late, unused);
    return told ? late.start_error : 0;
}

void Starter::become(int socket, const sigset_t& mask) noexcept
{
    Report report;
    int listener = -1;
    ::signal(SIGPIPE, SIG_DFL);
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    if (!filter_.empty()) {
        listener = install_filter(filter_);
        report.filter_error = listener < 0 ? errno : 0;
    }
    send_report(socket, report, listener);
    if (listener >= 0) {
        ::close(listener);
    } else if (waits_) {
        take_environment(socket);
    }
    ::execvp(argv_[0], argv_.data());
    report.start_error = errno;
    send_report(socket, report, -1);
    ::_exit(report.start_error == ENOENT ? 127 : 126);
}

} // namespace stemma::hooks
