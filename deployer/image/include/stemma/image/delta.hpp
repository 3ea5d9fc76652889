#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/image/library.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <filesystem>

/// Block deltas: a file that turns the virtual disk of one image into that of another, whatever
/// containers the two lie in, and that is about as large as what is different.
namespace stemma::image {

/// What a delta file says of itself.
struct DeltaInfo {
    Digest from;                     ///< SHA-256 of the virtual disk that it applies to
    Digest to;                       ///< SHA-256 of what comes out
    std::uint64_t from_size = 0;     ///< virtual bytes
    std::uint64_t to_size = 0;       ///< virtual bytes
    std::uint64_t changed_bytes = 0; ///< in blocks of 4 KiB that are different
    std::uint64_t file_bytes = 0;    ///< of the delta itself
};

/// Writes the difference to `out`, which appears when it is whole.
///
/// The digests of recorded images are taken from the record, those of plain files are computed.
/// Where `to` is a later version of `from` (its overlay, at any depth) only what the overlays hold
/// is read: the cost follows the change. Else both disks are read once, holes excepted.
/// throws  as open_disk(); io
DeltaInfo make_delta(const Selected& from,
                     const Selected& to,
                     const std::filesystem::path& out,
                     const Cancel& cancel);

/// Reads a delta's header after checking the whole file against its own digest.
/// throws  corrupt: cut off, damaged, or no delta; unsupported: of a newer version
DeltaInfo inspect_delta(const std::filesystem::path& delta);

/// True when the file begins like a delta.
bool is_delta(const std::filesystem::path& file);

/// Writes the blocks of `delta` onto a volume that holds the bytes of DeltaInfo::from, zeros beyond
/// them, and has DeltaInfo::to_size bytes. Does not flush, and does not check the result: compare
/// digest_of(disk) with DeltaInfo::to. Interrupted, the volume is neither the one nor the other.
/// throws  corrupt: the delta is damaged, or the volume holds other bytes where it matters
void write_delta(const std::filesystem::path& delta, volume::Volume& disk, const Cancel& cancel);

/// Makes `out`, a qcow2 file complete in itself, from `base` and a delta. It appears under its name
/// when its digest is the one that the delta promises, and not otherwise.
/// throws  corrupt: `base` is not what the delta was made from, or the delta is damaged; io
DeltaInfo apply_delta(const Selected& base,
                      const std::filesystem::path& delta,
                      const std::filesystem::path& out,
                      const Cancel& cancel);

} // namespace stemma::image
