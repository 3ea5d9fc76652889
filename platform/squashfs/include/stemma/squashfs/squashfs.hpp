#pragma once

#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <memory>

namespace stemma::squashfs {

/// Opens a squashfs 4.0 (gzip, xz, zstd, lz4) for reading, in this process.
///
/// volume  the partition, disk or file; owned by the answer
/// throws  corrupt: no such file system, or it is cut off; unsupported: a compressor that
/// libsquashfs
///         was built without (Debian's: lzo)
std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume);

} // namespace stemma::squashfs
