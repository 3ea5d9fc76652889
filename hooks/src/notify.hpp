#pragma once

#include "stemma/core/fd.hpp"
#include "stemma/hooks/session.hpp"

#include <linux/seccomp.h>

#include <optional>
#include <string>
#include <vector>

#include "filter.hpp"
#include "lanes.hpp"

namespace stemma::hooks {

/// Installs the filter on the calling thread; called in the child between fork and exec, so
/// nothing is allocated here.
/// returns  the listener, or -1 with errno set (EBUSY: another listener is above us)
int install_filter(const std::vector<sock_filter>& filter) noexcept;

/// Answers one listener's notifications, and tells a session what they mean. Every notification
/// is answered "go on": the kernel then does what was asked, whatever became of our record.
class Notifications {
public:
    /// library  of the fast lane; empty: every open is notified
    Notifications(Fd listener, Session& session, std::string library);

    [[nodiscard]] int fd() const noexcept { return listener_.get(); }
    /// Takes one notification; false when there was none.
    bool answer_one();
    /// Reads what tools on the fast lane noted and nobody asked for yet.
    void read_lanes();
    /// Gives the listener away; the processes that still use it must be answered by somebody.
    Fd release() noexcept { return std::move(listener_); }
    /// Events that could not be understood.
    [[nodiscard]] bool lost() const noexcept { return lost_; }

private:
    /// False when the event is answered already.
    bool tell(const seccomp_notif& event);
    bool tell_open(const seccomp_notif& event, Call call);
    static std::optional<int> flags_of(const seccomp_notif& event, Call call);
    void tell_name(const seccomp_notif& event, Call call);
    void tell_exec(const seccomp_notif& event, Call call);
    bool text(const seccomp_notif& event, unsigned argument, std::string& into);

    Fd listener_;
    Session& session_;
    Lanes lanes_;
    std::vector<char> request_;
    std::vector<char> response_;
    bool lost_ = false;
};

/// Keeps answering for processes that outlive the build; in a process of its own.
void answer_forever(int listener) noexcept;

} // namespace stemma::hooks
