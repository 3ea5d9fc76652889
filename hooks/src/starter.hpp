#pragma once

#include "stemma/core/fd.hpp"

#include <linux/filter.h>
#include <signal.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace stemma::hooks {

/// Starts the command: a child that puts itself under the filter, hands over its listener, and
/// waits until it is told how it is watched before it becomes the command. What it needs after fork
/// is made before.
class Starter {
public:
    /// filtered  try the filter
    /// waits     wait for let_go() where there is no filter
    Starter(std::vector<std::string> argv, bool filtered, bool waits);

    /// mask     the signals that the command has blocked
    /// returns  0, or the errno of what failed
    int start(const sigset_t& mask);

    [[nodiscard]] pid_t child() const noexcept { return child_; }
    /// The filter's listener; none when the filter was not wanted or refused.
    Fd take_listener() noexcept { return std::move(listener_); }
    /// Why there is no filter: an errno.
    [[nodiscard]] int filter_error() const noexcept { return filter_error_; }
    /// environment  "NAME=VALUE" for the command, added to this process's
    void let_go(const std::vector<std::string>& environment);
    /// After the child's end: the errno with which the command could not be started, or 0.
    int start_error();

private:
    [[noreturn]] void become(int socket, const sigset_t& mask) noexcept;

    std::vector<std::string> arguments_;
    std::vector<char*> argv_;
    std::vector<sock_filter> filter_;
    bool waits_;
    pid_t child_ = -1;
    Fd socket_;
    Fd listener_;
    bool has_listener_ = false;
    int filter_error_ = 0;
};

} // namespace stemma::hooks
