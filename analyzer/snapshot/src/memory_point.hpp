#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/log.hpp"
#include "stemma/core/process.hpp"
#include "stemma/virt/connection.hpp"

#include <atomic>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>

#include "elf_core.hpp"

namespace stemma::analyzer {

/// A running guest's memory at one moment, through QEMU's background snapshot: the guest stands
/// still while its devices are saved (some 10 ms) and runs on while its pages are written, each as
/// it was at that moment.
class MemoryPoint {
public:
    /// socket   where QEMU, whoever it runs as, can connect; removed at the end
    /// file     the ELF core that is made
    MemoryPoint(const virt::Domain& domain,
                std::filesystem::path socket,
                const std::filesystem::path& file,
                const std::string& machine,
                Log& log);
    ~MemoryPoint();
    MemoryPoint(const MemoryPoint&) = delete;
    MemoryPoint& operator=(const MemoryPoint&) = delete;

    /// The moment. The guest may be paused before; when this returns, it runs.
    /// throws  unsupported: this QEMU or kernel cannot (no userfaultfd for QEMU); remote
    void begin();
    /// Waits for the last page.
    void finish(const Cancel& cancel);

    [[nodiscard]] const ElfCore& core() const noexcept { return core_; }

private:
    void receive() noexcept;
    void end_capture() const;
    [[nodiscard]] Json monitor(const Json& command) const;
    void set_capability(bool on) const;
    [[nodiscard]] std::string migration_status() const;
    void expect_no_failure() const;

    const virt::Domain& domain_;
    std::filesystem::path socket_;
    ElfCore core_;
    Log& log_;
    Fd listener_;
    std::thread receiver_;
    std::exception_ptr failure_;
    std::atomic<bool> flowing_{false}; ///< the first bytes came
    std::atomic<bool> done_{false};    ///< the last ones did, or it failed
    std::atomic<bool> over_{false};    ///< nobody waits any more
    bool prepared_ = false;
};

/// Resumes a VM when this process dies before it could: a helper process that waits for our end.
class ResumeGuard {
public:
    ResumeGuard(const std::string& uri, const virt::Domain& domain);
    ~ResumeGuard();
    ResumeGuard(const ResumeGuard&) = delete;
    ResumeGuard& operator=(const ResumeGuard&) = delete;

private:
    Pipe pipe_;
    Child helper_;
};

} // namespace stemma::analyzer
