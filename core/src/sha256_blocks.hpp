#pragma once

#include <cstddef>
#include <cstdint>

namespace stemma::detail {

/// SHA-256's compression of whole blocks of 64 bytes into a state of eight words.
using BlockFunction = void (*)(std::uint32_t* state,
                               const std::uint8_t* blocks,
                               std::size_t count) noexcept;

/// The fastest that this processor has.
BlockFunction best_sha256_blocks() noexcept;

} // namespace stemma::detail
