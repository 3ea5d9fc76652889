#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/jail/channel.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stemma::jail {

/// What the process in the jail may use.
struct Limits {
    std::uint64_t memory = std::uint64_t{1} << 30U; ///< bytes of address space on top of this one's
    std::chrono::seconds processor{120};            ///< of processor time between two messages
    const Cancel* cancel = nullptr; ///< on request: waiting ends, and throws interrupted
};

/// A copy of this process that runs `work` and can do nothing else: it holds one end of a channel
/// and the descriptors that were kept for it, can open, create, connect and start nothing, signal
/// nobody, and gain no privilege (no_new_privs, a seccomp filter that lists what is allowed). Under
/// root it becomes "nobody" first. It ends with this object, and when the calling thread ends.
///
/// It starts as a fork: `work` sees this process's memory as it was. Other threads are not there;
/// `work` must not need a lock that one of them may have held.
///
/// Needs no privilege. Under the sanitizers address space is not limited: they reserve terabytes.
class Process {
public:
    /// name  what messages call that which is read
    /// keep  descriptors that stay open under the same number
    /// throws  io: no process can be made
    Process(std::string name,
            const std::vector<int>& keep,
            const Limits& limits,
            const std::function<void(Channel&)>& work);

    /// throws  corrupt: the process ended, with how and why; unsupported: it could not be confined
    void send(std::string_view message);
    [[nodiscard]] std::string receive();

    /// True when it ended: nothing more can be asked.
    [[nodiscard]] bool ended() const noexcept { return end_.has_value(); }

private:
    Process(std::string name, const Limits& limits, std::pair<Channel, Child> started);
    [[nodiscard]] Error end_error() const;
    [[noreturn]] void report_end();
    std::string name_;
    Limits limits_;
    Channel channel_;
    Child child_;
    std::optional<ExitStatus> end_{};
};

/// Runs `work` in a jail and gives what it returned; an Error that it throws is thrown here.
///
/// throws  as `work`; corrupt: it crashed, or broke a limit; unsupported: a result over 1 GiB
std::string compute(const std::string& name,
                    const std::vector<int>& keep,
                    const Limits& limits,
                    const std::function<std::string()>& work);

} // namespace stemma::jail
