#pragma once

#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <memory>

namespace stemma::fat {

/// Opens a FAT12, FAT16 or FAT32 file system with long names for reading.
///
/// Names are found whatever their case, as every kernel does it. Files belong to root, mode 0755
/// (0555 when read-only); times are taken for UTC, because FAT does not say.
///
/// volume  the partition or disk; owned by the answer
/// throws  corrupt: no such file system, or it is larger than its volume (a cut-off image)
/// source  Microsoft, FAT32 File System Specification 1.03
std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume);

} // namespace stemma::fat
