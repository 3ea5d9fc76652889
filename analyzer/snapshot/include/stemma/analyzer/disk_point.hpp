#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/volume/volume.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::virt {
class Connection;
class Domain;
struct DomainDescription;
} // namespace stemma::virt

namespace stemma::analyzer {

/// How the bytes of one moment were had.
enum class PointMethod {
    backup,   ///< libvirt's pull backup: the guest is not paused
    external, ///< an overlay that is merged back afterwards; where a backup is refused
    stopped,  ///< the VM does not run: its disk stands still by itself
};
std::string_view to_string(PointMethod method) noexcept;
std::optional<PointMethod> point_method_from(std::string_view word) noexcept;

/// Targets of the VM's disks that can be written to, without `target`: no snapshot has them.
std::vector<std::string> other_disks(const virt::DomainDescription& description,
                                     std::string_view target);

/// The system disk of a VM as it was at one moment, for as long as the object lives. Whatever runs
/// for it in the hypervisor ends with it, and so do its files; where this process is killed, the
/// next DiskPoint of the same VM ends them. The VM runs on in either case.
///
/// One at a time per VM (a lock in `work_folder`, and libvirt's own).
class DiskPoint {
public:
    struct Options {
        const Clock& clock;
        const Cancel& cancel;
        Log& log;
        /// For locks and sockets; QEMU's user must be able to enter it. Made when missing.
        std::filesystem::path work_folder;
        /// Folders that the files below a stopped VM's disk may lie in.
        std::vector<std::filesystem::path> allow{};
        /// Have the guest agent freeze the file systems around the moment; fails where it cannot.
        bool quiesce = false;
        /// Of a running VM: only by this method; else by a backup, and where the hypervisor refuses
        /// that, by an overlay.
        std::optional<PointMethod> method = std::nullopt;
        /// Capture the memory of the same moment too: called once the VM's lock is held, gives the
        /// name of the file that becomes an ELF core; empty: do not.
        std::function<std::filesystem::path()> make_memory_file{};
    };

    /// throws  conflict: another snapshot or job of this VM is under way; unsupported: no disk that
    ///         can be read from here, with the reason; not_found: no guest agent, with quiesce
    DiskPoint(const virt::Connection& connection,
              const virt::Domain& domain,
              const virt::DomainDescription& description,
              const Options& options);
    ~DiskPoint();
    DiskPoint(DiskPoint&& other) noexcept;
    DiskPoint& operator=(DiskPoint&& other) noexcept;
    DiskPoint(const DiskPoint&) = delete;
    DiskPoint& operator=(const DiskPoint&) = delete;

    /// The whole virtual disk; may be opened several times, and must be closed before this ends.
    [[nodiscard]] std::unique_ptr<volume::Volume> open() const;
    /// "nbd+unix:///vda?socket=…" or the file, for other programs; with the format that it has.
    [[nodiscard]] std::string place() const;
    [[nodiscard]] std::string format() const;

    [[nodiscard]] PointMethod method() const noexcept;
    /// The moment, by this machine's clock.
    [[nodiscard]] Time at() const noexcept;
    [[nodiscard]] const std::string& target() const noexcept; ///< "vda"
    [[nodiscard]] bool quiesced() const noexcept;             ///< the guest froze its file systems
    /// What the guest stood still for, measured from outside; zero where it was not paused.
    [[nodiscard]] std::chrono::microseconds pause() const noexcept;
    /// Waits until the memory's file is whole; bytes of RAM and pages that are not zero.
    struct Memory {
        std::uint64_t bytes = 0;
        std::uint64_t pages = 0;
    };
    Memory finish_memory(const Cancel& cancel);
    [[nodiscard]] bool flushed() const noexcept; ///< the guest wrote out what it held, just before

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Ends what a killed process left of a DiskPoint of this VM: the job in the hypervisor, sockets,
/// scratch files. Harmless where there is nothing.
/// throws  conflict: a backup that is not ours runs
void clear_debris(const virt::Domain& domain,
                  const virt::DomainDescription& description,
                  const std::filesystem::path& work_folder,
                  Log& log);

} // namespace stemma::analyzer
