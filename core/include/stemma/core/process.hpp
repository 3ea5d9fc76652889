#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/fd.hpp"

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma {

/// How a process ended.
struct ExitStatus {
    int code = 0;   ///< exit(2) value; meaningful when signal is 0
    int signal = 0; ///< the signal that ended it, else 0
    [[nodiscard]] bool success() const noexcept { return code == 0 && signal == 0; }
    /// "exit status 2", "killed by signal 9 (Killed)".
    [[nodiscard]] std::string describe() const;
    static ExitStatus from_wait(int wait_status) noexcept;
};

/// Ends this process the way another one ended: same code, or the same signal.
[[noreturn]] void leave_like(const ExitStatus& exit) noexcept;

struct Command {
    std::vector<std::string> argv;                    ///< argv[0] is looked up in PATH
    std::string folder{};                             ///< working directory; empty: this one's
    std::map<std::string, std::string> environment{}; ///< added to this process's
    std::string input{}; ///< given on standard input (empty: /dev/null)
    std::optional<std::chrono::milliseconds> timeout = std::nullopt; ///< then SIGKILL and `remote`
    std::size_t max_output = std::size_t{16} << 20U; ///< of each stream; the rest is dropped
    const Cancel* cancel = nullptr; ///< on request: SIGTERM, after 5 s SIGKILL, throws interrupted
};

struct CommandResult {
    ExitStatus exit;
    std::string out;
    std::string err;
};

/// Runs a command to its end with both outputs captured. Never through a shell.
/// throws  not_found: no such program (the hint names Debian's package when known);
///         remote: timed out; interrupted; io
CommandResult run(const Command& command);

/// As run(), and a failing exit throws `io` with the last lines of its standard error.
CommandResult run_checked(const Command& command);

/// A child process that is killed (SIGKILL) and reaped when the object goes.
class Child {
public:
    struct Streams {
        int in = -1;  ///< fd to become its standard input; -1: /dev/null
        int out = -1; ///< -1: inherited
        int err = -1; ///< -1: inherited
    };
    /// keep  fds that stay open in the child under the same number
    Child(const std::vector<std::string>& argv,
          const Streams& streams,
          const std::vector<int>& keep = {},
          const std::map<std::string, std::string>& environment = {});
    /// Takes over a process that was started elsewhere in this one.
    static Child adopt(pid_t pid) noexcept;
    ~Child();
    Child(Child&& other) noexcept;
    Child& operator=(Child&& other) noexcept;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Waits for its end; callable once.
    ExitStatus wait();
    /// nullopt while it runs.
    std::optional<ExitStatus> poll();
    void kill(int signal) noexcept;

private:
    Child() noexcept = default;
    pid_t pid_ = -1;
};

/// The full path of a program in PATH; nullopt when there is none.
std::optional<std::string> find_program(std::string_view name);

} // namespace stemma
