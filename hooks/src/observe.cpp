#include "stemma/hooks/observe.hpp"

#include "stemma/hooks/session.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "notify.hpp"

namespace stemma::hooks {

namespace {

constexpr std::array handled_signals = {
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGUSR1, SIGUSR2};

/// What the child tells before it becomes the command, and when it cannot.
struct Report {
    int filter_error = 0; ///< errno of the filter; 0: the listener came along
    int start_error = 0;  ///< errno of exec
};

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

std::uint64_t wall_clock() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec) / 1000U;
}

/// Blocks the signals that a build's user may send, for as long as the object lives.
class SignalWatch {
public:
    SignalWatch()
    {
        sigset_t set;
        ::sigemptyset(&set);
        for (const int signal : handled_signals) {
            ::sigaddset(&set, signal);
        }
        ::sigprocmask(SIG_BLOCK, &set, &before_);
        fd_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    ~SignalWatch() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] const sigset_t& before() const noexcept { return before_; }

    /// Hands on what was sent to us alone. A terminal's ^C reached the build already.
    void pass_on(pid_t child) const
    {
        signalfd_siginfo info{};
        while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            const bool from_terminal = info.ssi_code == SI_KERNEL;
            if (static_cast<int>(info.ssi_signo) != SIGCHLD && !from_terminal) {
                ::kill(child, static_cast<int>(info.ssi_signo));
            }
        }
    }

private:
    Fd fd_;
    sigset_t before_{};
};

/// The command's process: what it needs after fork is made before.
class Starter {
public:
    Starter(const Observation& observation, bool filtered) : arguments_(observation.argv)
    {
        if (filtered) {
            filter_ = make_filter();
        }
        for (auto& argument : arguments_) {
            argv_.push_back(argument.data());
        }
        argv_.push_back(nullptr);
    }

    [[noreturn]] void become(int socket, const sigset_t& mask) noexcept
    {
        Report report;
        int listener = -1;
        ::signal(SIGPIPE, SIG_DFL);
        ::sigprocmask(SIG_SETMASK, &mask, nullptr);
        if (!filter_.empty()) {
            listener = install_filter(filter_);
            report.filter_error = listener < 0 ? errno : 0;
        }
        send_report(socket, report, listener);
        if (listener >= 0) {
            ::close(listener);
        }
        ::execvp(argv_[0], argv_.data());
        report.start_error = errno;
        send_report(socket, report, -1);
        ::_exit(report.start_error == ENOENT ? 127 : 126);
    }

private:
    std::vector<std::string> arguments_;
    std::vector<char*> argv_;
    std::vector<sock_filter> filter_;
};

void ignore_own_streams(Session& session)
{
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
        struct stat info {};
        if (::fstat(fd, &info) == 0) {
            session.ignore_stream(info);
        }
    }
}

/// Leaves somebody behind who answers for processes that go on.
void leave_answerer(Fd listener)
{
    const pid_t pid = ::fork();
    if (pid != 0) {
        return;
    }
    ::setsid();
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) {
        ::dup2(null, fd);
    }
    constexpr int kept = 3;
    const int moved = listener.get() == kept ? kept : ::dup3(listener.get(), kept, O_CLOEXEC);
    ::close_range(kept + 1, ~0U, 0);
    answer_forever(moved);
    ::_exit(0);
}

/// Waits for the command's end; answers notifications meanwhile.
class Watch {
public:
    Watch(pid_t child, const SignalWatch& signals, Notifications* notifications)
        : child_(child), signals_(signals), notifications_(notifications)
    {
    }

    /// Returns the command's wait status.
    int until_end()
    {
        while (!ended()) {
            step(-1);
        }
        return status_;
    }

    /// Gives processes that are about to end a moment; false when some go on.
    bool until_silence()
    {
        constexpr int rounds = 20;
        for (int round = 0; round < rounds && !silent_; ++round) {
            step(10);
            round = busy_ ? round - 1 : round;
        }
        return silent_;
    }

private:
    void step(int timeout)
    {
        std::array<pollfd, 2> wanted = {
            pollfd{signals_.fd(), POLLIN, 0},
            pollfd{notifications_ != nullptr && !silent_ ? notifications_->fd() : -1, POLLIN, 0}};
        busy_ = false;
        if (::poll(wanted.data(), wanted.size(), timeout) <= 0) {
            return;
        }
        if ((wanted[1].revents & POLLIN) != 0) {
            busy_ = notifications_->answer_one();
        } else if ((wanted[1].revents & (POLLHUP | POLLERR)) != 0) {
            silent_ = true;
        }
        if (wanted[0].revents != 0) {
            signals_.pass_on(child_);
            look_ = true;
        }
    }

    bool ended()
    {
        if (!look_) {
            return false;
        }
        look_ = false;
        const pid_t done = ::waitpid(child_, &status_, WNOHANG);
        return done == child_ || (done < 0 && errno == ECHILD);
    }

    pid_t child_;
    const SignalWatch& signals_;
    Notifications* notifications_;
    int status_ = 0;
    bool look_ = true; ///< it may have ended before we listened
    bool busy_ = false;
    bool silent_ = false;
};

ObservedExit exit_of(int wait_status)
{
    ObservedExit exit;
    if (WIFSIGNALED(wait_status)) {
        exit.signal = WTERMSIG(wait_status);
    } else {
        exit.code = WEXITSTATUS(wait_status);
    }
    return exit;
}

HoleRecord whole_build_hole(const Observation& observation, std::string reason)
{
    return {0, observation.argv.front(), std::move(reason)};
}

std::string filter_problem(int error)
{
    if (error == EBUSY) {
        return "not observed: another program listens to this process tree already";
    }
    return std::string("not observed: seccomp user notification: ") + std::strerror(error);
}

} // namespace

std::string_view to_string(Backend backend) noexcept
{
    switch (backend) {
    case Backend::automatic:
        return "auto";
    case Backend::notify:
        return "notify";
    case Backend::none:
        return "none";
    }
    return "none";
}

std::optional<Backend> backend_from(std::string_view word) noexcept
{
    for (const auto backend : {Backend::automatic, Backend::notify, Backend::none}) {
        if (to_string(backend) == word) {
            return backend;
        }
    }
    return std::nullopt;
}

bool is_observed() noexcept
{
    const char* observer = std::getenv(observer_variable); // NOLINT(concurrency-mt-unsafe)
    if (observer == nullptr || ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2) {
        return false;
    }
    const auto pid = static_cast<pid_t>(std::strtol(observer, nullptr, 10));
    return pid > 1 && (::kill(pid, 0) == 0 || errno == EPERM);
}

ObservedExit observe(Observation observation)
{
    JournalWriter journal(observation.journal);
    Session session(journal);
    ignore_own_streams(session);
    const bool filtered = observation.backend != Backend::none;
    Starter starter(observation, filtered);
    ::setenv(
        observer_variable, std::to_string(::getpid()).c_str(), 1); // NOLINT(concurrency-mt-unsafe)
    std::array<int, 2> sockets{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
        ObservedExit failed;
        failed.start_error = errno;
        return failed;
    }
    const Fd ours(sockets[0]);
    Fd theirs(sockets[1]);
    const SignalWatch signals;
    const pid_t child = ::fork();
    if (child == 0) {
        starter.become(theirs.get(), signals.before());
    }
    theirs.reset();
    if (child < 0) {
        ObservedExit failed;
        failed.start_error = errno;
        return failed;
    }
    Report report;
    Fd listener;
    const bool reported = receive_report(ours.get(), report, listener);
    const auto backend = listener ? Backend::notify : Backend::none;
    observation.session.backend = to_string(backend);
    journal.add(observation.session);
    journal.flush();
    session.root(child, std::move(observation.tag));
    if (!listener) {
        journal.add(whole_build_hole(observation,
                                     filtered ? filter_problem(reported ? report.filter_error : EIO)
                                              : "not observed: as asked"));
    }
    std::optional<Notifications> notifications;
    if (listener) {
        notifications.emplace(std::move(listener), session);
    }
    Watch watch(child, signals, notifications ? &*notifications : nullptr);
    auto exit = exit_of(watch.until_end());
    if (notifications && !watch.until_silence()) {
        journal.add(whole_build_hole(observation, "processes of the build went on after its end"));
        leave_answerer(notifications->release());
    }
    session.finish();
    if (notifications && notifications->lost()) {
        journal.add(whole_build_hole(observation, "events were lost for want of memory"));
    }
    Report late;
    Fd unused;
    if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0 && receive_report(ours.get(), late, unused)) {
        exit.start_error = late.start_error;
    }
    journal.add(EndRecord{exit.code, exit.signal, wall_clock(), 0});
    journal.flush();
    exit.recorded = !journal.failed();
    exit.backend = backend;
    return exit;
}

} // namespace stemma::hooks
