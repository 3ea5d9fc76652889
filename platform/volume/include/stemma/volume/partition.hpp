#pragma once

#include "stemma/volume/mapped.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace stemma::volume {

/// A region of a disk. `number` is what the guest's kernel counts (sda1 is 1); 0 is the whole disk;
/// logical volumes (LVM) are numbered from 1001 in order of group and name.
struct Partition {
    std::uint32_t number = 0;
    std::uint64_t offset = 0; ///< bytes; of a logical volume its first piece's
    std::uint64_t length = 0; ///< bytes
    std::string type;         ///< GPT: type GUID; MBR: "0x83"; "lvm"; empty for the whole disk
    std::string label;        ///< GPT partition name, "group/volume"; may be empty
    std::string content;      ///< "ext4", "vfat", "swap", "LUKS", …; empty when nothing is known
    std::vector<Piece> pieces{}; ///< of a logical volume that can be read; else empty
};

/// "partition 2", "logical volume vg/root", "the whole disk".
std::string describe(const Partition& partition);

/// Where its bytes lie, also of an ordinary partition.
std::vector<Piece> pieces_of(const Partition& partition);

struct PartitionTable {
    enum class Kind { none, mbr, gpt };
    Kind kind = Kind::none;
    bool from_backup = false;            ///< the primary GPT was damaged
    std::vector<Partition> partitions;   ///< by number; the whole disk alone when there is no table
    std::vector<std::string> complaints; ///< overlaps, entries beyond the end: those are left out
};

std::string_view to_string(PartitionTable::Kind kind) noexcept;

/// Reads the partition table, GPT (also from its backup) or MBR with logical partitions, LVM's
/// logical volumes, and what each of them holds. At most 256 partitions.
/// throws  corrupt: there is a GPT, and neither copy of it is sound; io
PartitionTable read_partitions(Volume& disk);

/// What a region holds, by the magic numbers of its superblock: ext2, ext3, ext4, xfs, btrfs, vfat,
/// exfat, ntfs, squashfs, iso9660, swap, LUKS, LVM, RAID, f2fs, bcachefs, zfs; empty when none.
std::string sniff_content(Volume& region);

} // namespace stemma::volume
