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

} // namespace stemma::zstd
