#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace stemma::deployer {

/// Bytes of a volume.
struct Range {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool operator==(const Range&) const = default;
};

/// What one pass over a volume finds out.
struct Scan {
    std::string digest;        ///< sha256 of all bytes; 64 digits
    std::vector<Range> ranges; ///< to be sent, in order; never longer than max_range
    std::uint64_t bytes = 0;   ///< sum of their lengths
};

/// A range is one stream, and what is sent again after an interruption.
inline constexpr std::uint64_t max_range = std::uint64_t{32} << 20U;

/// Where `wanted` differs from `had`, by blocks of 4 KiB; without `had`: where it is not zero, by
/// blocks of 64 KiB. Small gaps are sent along as long as that costs less than a tenth more bytes,
/// since every range costs two round trips.
/// had     may be null; bytes beyond its end count as zeros
/// cancel  may be null
Scan scan_for_shipping(volume::Volume& wanted, volume::Volume* had, const Cancel* cancel);

/// Before a disk is started on what a host holds.
/// throws  corrupt, naming `what`, when the two digests (64 digits) differ
void expect_digest(const std::string& what, const std::string& found, const std::string& wanted);

} // namespace stemma::deployer
