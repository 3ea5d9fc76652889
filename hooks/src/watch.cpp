#include "watch.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace stemma::hooks {

namespace {

constexpr std::array handled_signals = {
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGUSR1, SIGUSR2};

} // namespace

SignalWatch::SignalWatch()
{
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : handled_signals) {
        ::sigaddset(&set, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

SignalWatch::~SignalWatch()
{
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void SignalWatch::pass_on(pid_t child) const
{
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        const bool from_terminal = info.ssi_code == SI_KERNEL;
        if (static_cast<int>(info.ssi_signo) != SIGCHLD && !from_terminal) {
            ::kill(child, static_cast<int>(info.ssi_signo));
        }
    }
}

int Watch::until_end()
{
    while (!ended()) {
        step(-1);
    }
    return status_;
}

bool Watch::until_silence()
{
    constexpr int rounds = 20;
    for (int round = 0; round < rounds && !silent_; ++round) {
        step(10);
        round = busy_ ? round - 1 : round;
    }
    while (preloading_ != nullptr && preloading_->take_one()) {
    }
    return silent_;
}

void Watch::step(int timeout)
{
    std::array<pollfd, 3> wanted = {
        pollfd{signals_.fd(), POLLIN, 0},
        pollfd{silent_ ? -1 : notifications_->fd(), POLLIN, 0},
        pollfd{preloading_ != nullptr ? preloading_->fd() : -1, POLLIN, 0}};
    busy_ = false;
    if (::poll(wanted.data(), wanted.size(), timeout) <= 0) {
        return;
    }
    if ((wanted[1].revents & POLLIN) != 0) {
        busy_ = notifications_->answer_one();
    } else if ((wanted[1].revents & (POLLHUP | POLLERR)) != 0) {
        silent_ = true;
    }
    if (wanted[2].revents != 0) {
        preloading_->take_one();
    }
    if (wanted[0].revents != 0) {
        signals_.pass_on(child_);
        look_ = true;
    }
}

bool Watch::ended()
{
    if (!look_) {
        return false;
    }
    look_ = false;
    const pid_t done = ::waitpid(child_, &status_, WNOHANG);
    return done == child_ || (done < 0 && errno == ECHILD);
}

} // namespace stemma::hooks
