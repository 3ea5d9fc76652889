#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/log.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace stemma::analyzer {

/// A kept snapshot that is to become a VM's disk again.
struct RestoreSource {
    std::string snapshot; ///< id
    std::string vm;       ///< uuid of the VM that it is of
    std::string vm_name;
    std::string target;                ///< "vda"
    std::uint64_t size = 0;            ///< bytes of the disk
    std::optional<std::string> domain; ///< the definition at that time
};

struct RestoreOptions {
    std::string as{};                    ///< name of a new VM; empty: the same one
    std::filesystem::path work_folder{}; ///< see DiskPoint::Options
    bool stop = false;                   ///< a running VM is stopped
};

/// What a restore is going to do. Making one changes nothing.
struct RestorePlan {
    std::string uuid; ///< of the VM that gets the disk
    std::string name;
    bool is_new = false;
    bool is_there = false; ///< an earlier run got as far as defining the new VM
    bool must_stop = false;
    std::filesystem::path disk;
    std::string format;  ///< of that file
    std::string backing; ///< what it lies upon; empty: it stands alone
    std::string backing_format;
    std::vector<std::filesystem::path> backing_folders{}; ///< of all files below
    std::string definition{};                             ///< of a new VM
    std::vector<std::string> left_out{};                  ///< of the definition
    std::vector<std::string> untouched{}; ///< targets of the VM's disks that stay as they are now
};

/// throws  not_found: that libvirt has no such VM, and no definition of it was kept; conflict: the
///         name is taken, or the VM runs and may not be stopped; unsupported: the host is another
///         machine, the disk no file, or of another size
RestorePlan plan_restore(const virt::Connection& connection,
                         const RestoreSource& source,
                         const RestoreOptions& options);

struct RestoreWorld {
    const Cancel& cancel;
    Log& log;
};

/// Writes the disk beside and puts it in place: the VM is stopped for that moment only, and stays
/// stopped. Killed anywhere, the VM has its disk as it was before or as it is in the snapshot; the
/// same call again finishes.
///
/// kept    the snapshot's disk
/// throws  io: no space, named; the VM is as it was. conflict: a snapshot of it is under way
void apply_restore(const virt::Connection& connection,
                   const RestorePlan& plan,
                   volume::Volume& kept,
                   const RestoreOptions& options,
                   const RestoreWorld& world);

} // namespace stemma::analyzer
