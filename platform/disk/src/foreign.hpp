#pragma once

#include "stemma/guestfs/guestfs.hpp"
#include "stemma/volume/partition.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stemma::disk {

/// What of a disk only a kernel reads: file systems without a driver here, RAID, LVM that is not
/// linear.
struct Foreign {
    std::vector<guestfs::Drive> drives; ///< what the VM must see
    std::string wanted;                 ///< as guestfs::OpenOptions::wanted
    std::string what;                   ///< "partition 4 (btrfs)", for messages
};

/// What the VM would have to look at for the partition asked for, or for the root file system if it
/// is none that a driver here reads. nullopt: nothing that it could help with.
std::optional<Foreign> plan_foreign(const volume::PartitionTable& table,
                                    std::optional<std::uint32_t> partition);

} // namespace stemma::disk
