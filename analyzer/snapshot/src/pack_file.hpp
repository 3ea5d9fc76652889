#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/core/file.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// Blocks of 4 KiB that were new when one disk or memory was kept. Written once; numbers little
/// endian:
///
///     "STMPACK1"
///     frames    Zstandard with a checksum, each of up to 64 blocks, in order of their numbers
///     index     u32 blocks; per block 32 bytes sha256; per block u8: 1 it is here, 0 it was
///     dropped
///               u32 frames; per frame u64 offset, u32 bytes, u32 blocks
///     end       u64 offset and u64 bytes of the index, its sha256, "STMPACK1"
///
/// A block's number never changes: a pack of which blocks were dropped is written anew with the
/// others under the same name. One that was not finished has no name. Measured on a Debian 12 disk:
/// the index is 0.8% of the blocks' bytes.
inline constexpr std::size_t pool_block = 4096;
inline constexpr std::size_t pack_frame_blocks = 64;
using BlockView = std::span<const std::byte, pool_block>;

struct PackFrame {
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t blocks = 0;
};

class PackWriter {
public:
    explicit PackWriter(const std::filesystem::path& file);

    /// returns  the block's number
    /// throws   io, with a full disk named
    std::uint32_t add(const Digest& digest, BlockView block);
    /// A number that stays, of a block that is dropped.
    void skip(const Digest& digest);
    [[nodiscard]] std::size_t blocks() const noexcept { return digests_.size(); }
    /// Durable under its name when it returns.
    /// returns  bytes of the file
    std::uint64_t commit();

private:
    void end_frame();
    void put(std::string_view bytes);

    NewFile file_;
    std::uint64_t at_ = 0;
    std::string pending_;
    std::vector<Digest> digests_;
    std::string present_;
    std::vector<PackFrame> frames_;
};

class PackReader {
public:
    /// throws  not_found; corrupt: torn, or its index is damaged
    explicit PackReader(const std::filesystem::path& file);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::uint32_t blocks() const noexcept { return blocks_; }
    [[nodiscard]] Digest digest(std::uint32_t block) const;
    [[nodiscard]] bool has(std::uint32_t block) const;
    /// Valid until the next read().
    /// throws  corrupt: the block is not what its digest says, or was dropped
    BlockView read(std::uint32_t block);
    /// Gives up the memory that the last frame takes.
    void forget() noexcept;

private:
    void load_index(const std::string& index);
    void load_frame(std::size_t frame);
    [[nodiscard]] std::string bytes_at(int fd, std::uint64_t offset, std::size_t size) const;

    std::string file_; ///< opened for each frame: a pool may have more packs than a process files
    std::string name_;
    std::uint32_t blocks_ = 0;
    std::string digests_; ///< 32 bytes each
    std::string present_; ///< 0 or 1 each
    std::vector<PackFrame> frames_;
    std::vector<std::uint32_t> starts_; ///< first block of each frame
    std::size_t loaded_;                ///< number of the frame in memory
    std::string content_;               ///< its blocks
};

} // namespace stemma::analyzer
