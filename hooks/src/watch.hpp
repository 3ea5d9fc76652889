#pragma once

#include "stemma/core/fd.hpp"

#include <signal.h>
#include <sys/types.h>

#include "notify.hpp"
#include "preloading.hpp"

namespace stemma::hooks {

/// Blocks the signals that a build's user may send, for as long as the object lives.
class SignalWatch {
public:
    SignalWatch();
    ~SignalWatch();
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// The mask as it was, which the command gets.
    [[nodiscard]] const sigset_t& before() const noexcept { return before_; }

    /// Hands on what was sent to us alone. A terminal's ^C reached the build already.
    void pass_on(pid_t child) const;

private:
    Fd fd_;
    sigset_t before_{};
};

/// Waits for the command's end; meanwhile takes what either way of watching brings.
class Watch {
public:
    /// notifications, preloading  borrowed; null: not that way
    Watch(pid_t child,
          const SignalWatch& signals,
          Notifications* notifications,
          Preloading* preloading)
        : child_(child),
          signals_(signals),
          notifications_(notifications),
          preloading_(preloading),
          silent_(notifications == nullptr)
    {
    }

    /// Returns the command's wait status.
    int until_end();

    /// Gives processes that are about to end a moment; false when some are known to go on.
    bool until_silence();

private:
    void step(int timeout);
    bool ended();

    pid_t child_;
    const SignalWatch& signals_;
    Notifications* notifications_;
    Preloading* preloading_;
    int status_ = 0;
    bool look_ = true; ///< it may have ended before we listened
    bool busy_ = false;
    bool silent_; ///< nobody is left who could be notified of
};

} // namespace stemma::hooks
