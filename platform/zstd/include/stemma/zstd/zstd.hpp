#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Zstandard (RFC 8878), whole texts at once.
namespace stemma::zstd {

/// One frame with its size and a checksum of the content.
/// level  1 (fast) to 19 (small)
std::string compress(std::string_view bytes, int level = 3);

/// throws  corrupt: not a frame of compress(), torn, or its checksum fails; unsupported: it unpacks
///         to more than max_bytes
std::string decompress(std::string_view frame, std::uint64_t max_bytes);

/// As compress(), told as the difference from `old`, which decompress_against() needs again.
/// Both together should be at most a few MiB: the whole of `old` lies within the window.
std::string compress_against(std::string_view bytes, std::string_view old, int level = 3);
/// throws  as decompress(); corrupt: `old` is not what it was then (found by the checksum)
std::string
decompress_against(std::string_view frame, std::string_view old, std::uint64_t max_bytes);

} // namespace stemma::zstd
