#pragma once

#include "stemma/hooks/session.hpp"

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

/// What /proc says of other processes. Nothing throws but a lack of memory.
namespace stemma::hooks {

struct Family {
    pid_t process = 0; ///< the process that a thread belongs to
    pid_t parent = 0;
};
std::optional<Family> family_of(pid_t thread);

/// Where /proc/PID/NAME points to; empty when it cannot be read.
std::string link_of(pid_t pid, std::string_view name);

/// stat(2) through /proc/PID/NAME.
bool stat_of(pid_t pid, std::string_view name, struct stat& info);

/// The path without links and dots; empty when it is not there.
std::string real_path(const std::string& path);

/// CLOCK_MONOTONIC in nanoseconds.
std::uint64_t monotonic_now() noexcept;

/// What follows "#!"; empty when the file is no script.
Session::Interpreter interpreter_of(const std::string& path);

} // namespace stemma::hooks
