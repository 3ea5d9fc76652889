#pragma once

#include "stemma/volume/partition.hpp"

/// LVM2's metadata. Private to this library.
namespace stemma::volume {

/// Adds the logical volumes that lie on the disk's own partitions (content "LVM") to the table, in
/// order of group and name. One that is linear gets its pieces; of another kind (thin, mirrored,
/// striped, …) or on a disk that is not here only the name, with what it is as content. Damage is a
/// complaint of the table.
///
/// source  lvm2: lib/format_text/layout.h, and the text that vgcfgbackup writes
void add_logical_volumes(Volume& disk, PartitionTable& table);

} // namespace stemma::volume
