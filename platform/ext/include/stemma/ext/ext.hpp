#pragma once

#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <memory>

namespace stemma::ext {

/// Opens an ext2, ext3 or ext4 file system for reading, in this process, without the kernel.
///
/// A journal that was not replayed (its VM was killed) is replayed in memory: the volume is not
/// written, and what is read is what a mount or `e2fsck -p` would show. A damaged superblock is
/// replaced by one of its copies, which driver() says.
///
/// volume  the partition or disk; owned by the answer
/// throws  corrupt: no such file system, or its superblock fails its checksum; unsupported: a
///         feature that cannot be read faithfully (named), an external or fast-commit journal that
///         would have to be replayed
std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume);

} // namespace stemma::ext
