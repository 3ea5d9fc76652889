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

/// What a process apart may do.
enum class Freedom {
    none, ///< read what it holds, and nothing else
    /// Open files and start programs as the user may, until it calls forbid_programs(): for a
    /// library that cannot do without. It leads a session of its own; all that it started and that
    /// stayed in its process group is killed with it. Its memory is not limited.
    programs,
};

/// What the process in the jail may use.
struct Limits {
    std::uint64_t memory = std::uint64_t{1} << 30U; ///< bytes of address space on top of this one's
    std::chrono::seconds processor{120};            ///< of processor time between two messages
    const Cancel* cancel = nullptr;        ///< on request: waiting ends, and throws interrupted
    std::chrono::milliseconds patience{0}; ///< wall time to wait for one message; 0: no limit
    Freedom freedom = Freedom::none;
};

/// From now on this process and its threads can start no program and no process, make no socket,
/// and trace nobody: such calls fail with EPERM. For a process with Freedom::programs that has
/// started what it needed, before it looks at the first untrusted byte.
/// throws  unsupported: the system allows no seccomp filter
void forbid_programs();

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
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// throws  corrupt: the process ended, with how and why; unsupported: it could not be confined
    void send(std::string_view message);
    /// throws  as send(); remote: no message within the limits' patience, and the process was ended
    [[nodiscard]] std::string receive();
    /// What another confined process must keep to talk with this one in our place.
    [[nodiscard]] std::vector<int> descriptors() const { return {channel_.descriptor()}; }

    /// True when it ended: nothing more can be asked.
    [[nodiscard]] bool ended() const noexcept { return end_.has_value(); }

private:
    Process(std::string name, const Limits& limits, std::pair<Channel, Child> started);
    [[nodiscard]] Error end_error() const;
    [[noreturn]] void report_end();
    void wait_for_message();
    void kill_all() noexcept;
    std::string name_;
    Limits limits_;
    Channel channel_;
    Child child_;
    pid_t owner_; ///< who may end it: not a confined process that has a copy of this object
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
