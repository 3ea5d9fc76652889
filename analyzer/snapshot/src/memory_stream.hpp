#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// The RAM of a guest out of QEMU's migration stream (version 3, 4 KiB pages, no compression):
///
///     be32 "QEVM", be32 3
///     07  be32 length, machine type                                  configuration
///     01  be32 id, u8 length, name, be32 instance, be32 version      a section begins; ours: "ram"
///         be64 total | 4, then per block u8 length, name, be64 size; be64 16 ends it
///     02/03  be32 id, then pages:                                    a part, the last part
///         be64 offset | flags; unless flags & 32: u8 length, block name
///         flags & 2: one byte, the whole page has it; flags & 8: 4,096 bytes; 16: end of the part
///     7e  be32 id                                                    ends a section
///     04 … devices                                      the end of the RAM, too: not read
///
/// The stream comes from a QEMU that a guest may have broken into: every length is bounded.
struct MemoryBlock {
    std::string name; ///< "pc.ram"
    std::uint64_t size = 0;
};

class MemorySink {
public:
    virtual ~MemorySink() = default;
    MemorySink() = default;
    MemorySink(const MemorySink&) = delete;
    MemorySink& operator=(const MemorySink&) = delete;
    /// Called once, before any page.
    virtual void blocks(const std::vector<MemoryBlock>& blocks) = 0;
    /// A page of block number `block`; an empty text is a page of zeros.
    virtual void page(std::size_t block, std::uint64_t offset, std::string_view content) = 0;
};

/// Reads up to `size` bytes into `into`; 0 at the end.
using ByteSource = std::function<std::size_t(char* into, std::size_t size)>;

/// returns  the machine's type, e.g. "pc-i440fx-7.2"
/// throws   corrupt: not such a stream, or torn before the end of its RAM; unsupported: a feature
///          of migration that this does not read
std::string read_memory_stream(const ByteSource& source, MemorySink& sink);

} // namespace stemma::analyzer
