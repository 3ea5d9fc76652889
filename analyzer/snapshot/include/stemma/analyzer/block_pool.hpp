#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// What a kept disk or memory consists of: blocks of 4 KiB in the pool's packs. Blocks that are not
/// named are zeros. Written as JSON in one Zstandard frame with a checksum:
///
///     {"schema": "stemma.blocks/1", "size": bytes, "packs": [name],
///      "runs": [[block, count, pack, first]], "content": sha256}
///
/// in order of `block`; `pack` is an index into `packs`; block + i is number first + i of that
/// pack. `content` is over the number (8 bytes, little endian) and the sha256 of each block, in
/// order: equal for equal bytes, wherever their blocks lie.
struct BlockMap {
    struct Run {
        std::uint64_t block = 0;
        std::uint64_t count = 0;
        std::uint32_t pack = 0;
        std::uint32_t first = 0;
        bool operator==(const Run&) const = default;
    };
    std::uint64_t size = 0;
    std::vector<std::string> packs;
    std::vector<Run> runs;
    Digest content;
    bool operator==(const BlockMap&) const = default;
};
std::string to_bytes(const BlockMap& map);
/// throws  corrupt, unsupported: a newer schema
BlockMap block_map_from(std::string_view bytes, std::string_view name);

/// The content of kept disks and memories of all snapshots of a store: each block of 4 KiB once,
/// whoever has it, compressed; zeros are not kept.
///
///     <folder>/<uuid>.pack   see pack_file.hpp; each what one put() found new
///     <folder>/lock          shared by who reads or adds, alone for who removes
///
/// Kill it anywhere: a pack is there whole or not at all, and one that no map names is removed by
/// the next collect().
class BlockPool {
public:
    explicit BlockPool(std::filesystem::path folder);

    /// While it lives, nothing is removed: held from a put() until its map is in place, and by
    /// readers.
    class Hold {
    public:
        explicit Hold(Fd lock) : lock_(std::move(lock)) {}

    private:
        Fd lock_;
    };
    [[nodiscard]] Hold hold(const Cancel& cancel) const;

    struct Put {
        BlockMap map;
        std::uint64_t blocks = 0; ///< that are not zeros
        std::uint64_t fresh = 0;  ///< of them, which the pool did not have
        std::uint64_t stored = 0; ///< bytes that the pool grew by
    };
    /// Adds what it does not have of a disk or a file. Durable when it returns.
    /// throws  io: with a full disk named, then nothing was added; corrupt: a damaged index
    Put put(const Hold& hold, volume::Volume& from, const Cancel& cancel) const;

    /// The bytes of a map, each block checked against its digest as it is read. Read-only; the hold
    /// goes with it.
    /// throws  corrupt: a pack is missing or damaged; later, read() throws it for a block, with its
    ///         place
    [[nodiscard]] std::unique_ptr<volume::Volume>
    open(Hold hold, BlockMap map, std::string name) const;

    struct Total {
        std::uint64_t packs = 0;
        std::uint64_t blocks = 0;
        std::uint64_t bytes = 0;          ///< on this disk
        std::vector<std::string> damaged; ///< packs whose index cannot be read, and why
    };
    [[nodiscard]] Total total() const;
    struct Freed {
        std::uint64_t blocks = 0;
        std::uint64_t bytes = 0;
        std::vector<std::string> kept; ///< packs left as they are, being damaged, and why
    };
    /// Frees all that none of the maps names, and what killed processes left. Waits for holders.
    /// maps     every one that is kept: a missing one loses its blocks
    /// only_say change nothing
    Freed collect(const std::vector<BlockMap>& maps, bool only_say, const Cancel& cancel) const;

private:
    enum class Lock { shared, alone };
    [[nodiscard]] Fd lock(Lock how, const Cancel& cancel) const;
    std::filesystem::path folder_;
};

/// Reads all of a map's blocks.
/// returns  what is damaged: "bytes 8192 to 12287: …", each run of blocks with the reason of its
///          first, at most `limit` of them; empty: it is whole
std::vector<std::string> damage_of(volume::Volume& kept, std::size_t limit, const Cancel& cancel);

/// Writes the parts of `from` that are not zeros into `to`, which reads as zeros and is as large.
void copy_content(volume::Volume& from, volume::Volume& to, const Cancel& cancel);

} // namespace stemma::analyzer
