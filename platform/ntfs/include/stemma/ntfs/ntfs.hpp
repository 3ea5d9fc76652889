#pragma once

#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <memory>

namespace stemma::ntfs {

/// Opens an NTFS for reading, in this process, through libntfs-3g. Nothing is written, no log is
/// replayed; driver() says when the volume belongs to a hibernated Windows or was not closed
/// cleanly, whose last changes are not there.
///
/// Files belong to root, mode 0755 (0555 when read-only). NTFS's own files ($MFT, …) are left out.
/// A file that Windows keeps compressed outside of NTFS (WOF), or encrypted, is an error when it is
/// read: its own content would be zeros.
///
/// volume  the partition or disk; owned by the answer
/// throws  corrupt: no NTFS, or larger than its volume
std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume);

} // namespace stemma::ntfs
