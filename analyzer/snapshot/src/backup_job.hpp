#pragma once

#include "stemma/core/file.hpp"
#include "stemma/core/log.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/domain_xml.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace stemma::analyzer {

/// Names of what one VM's disk point leaves in file systems while it lives. They follow from the
/// VM alone, so that the next one finds what a killed one left; the overlay has a part of its own
/// beside, for the hypervisor may put a killed point's overlay on the disk at any moment, and that
/// one and a later one must be two files.
struct PointPlaces {
    std::filesystem::path folder;  ///< for the socket
    std::filesystem::path lock;    ///< held by whoever has the point
    std::filesystem::path socket;  ///< of the NBD server within QEMU
    std::filesystem::path scratch; ///< the hypervisor's copy of blocks that the guest overwrites
    std::filesystem::path overlay; ///< where the guest writes meanwhile, when a backup is refused

    PointPlaces(const std::filesystem::path& work_folder,
                const std::string& uuid,
                const virt::DiskInfo& disk);

    /// True for the overlay of any point of this VM.
    [[nodiscard]] bool is_overlay(const std::filesystem::path& file) const;
    /// Files that such overlays left in file systems, used or not.
    [[nodiscard]] std::vector<std::filesystem::path> overlays() const;

private:
    std::string overlay_stem_; ///< what all their names begin with
};

/// For locks and sockets; made when missing. QEMU's user can enter it.
void make_work_folder(const std::filesystem::path& folder);
/// throws  conflict: another snapshot or restore of this VM is under way
FileLock lock_point(const std::filesystem::path& lock, const std::string& vm);
/// The same for a VM of which there is no point.
FileLock
lock_vm(const std::filesystem::path& work_folder, const std::string& uuid, const std::string& vm);

/// The first disk that holds files of its own: what the VM boots from.
/// throws  unsupported: it has none
const virt::DiskInfo& system_disk(const virt::DomainDescription& description);

/// The backup's description for libvirt: the system disk alone, pulled through a Unix socket.
std::string backup_xml_for(const virt::DomainDescription& description,
                           const virt::DiskInfo& disk,
                           const PointPlaces& places);

/// Ends our backup job and waits until the hypervisor let go.
void end_backup(const virt::Domain& domain);

/// Removes the files.
void remove_files(const PointPlaces& places) noexcept;

/// True for a job that some DiskPoint of this VM began.
bool is_ours(const std::string& backup_xml, const PointPlaces& places);

} // namespace stemma::analyzer
