#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/file.hpp"
#include "stemma/image/delta.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace stemma::image {

/// The file of a delta, version 1; all numbers little-endian.
///
///     head    "STEMMADL", u32 version, u32 block size (4096),
///             u64 from_size, u64 to_size, 32 bytes from, 32 bytes to
///     chunk   u32 runs (not 0), u32 bytes of the frame (0: only zeros),
///             runs × (u64 first block, u32 blocks, u32 kind: 0 data, 1 zeros),
///             the frame: zstd of the data runs' new bytes, told against their old bytes
///     …       chunks in order of their blocks, each block at most once
///     foot    u32 0, u64 changed bytes, 32 bytes SHA-256 of all before
///
/// A chunk holds at most 1 MiB of data, so that both sides need little memory. With the old bytes
/// as the frame's dictionary, a metadata block in which one number changed costs some ten bytes.
/// A torn file lacks its foot or fails its digest, and nothing of it is used.
inline constexpr std::uint64_t delta_block = 4096;
inline constexpr std::uint64_t most_chunk_data = std::uint64_t{1} << 20U;
inline constexpr std::size_t most_chunk_runs = 4096;

struct DeltaRun {
    std::uint64_t block = 0;
    std::uint32_t count = 0;
    bool zeros = false;
};

struct DeltaChunk {
    std::vector<DeltaRun> runs;
    std::string frame;
};

class DeltaWriter {
public:
    /// from_size, to_size  of the virtual disks
    DeltaWriter(const std::filesystem::path& path, std::uint64_t from_size, std::uint64_t to_size);
    void add(const DeltaChunk& chunk);
    /// The digests of both disks come last, so that they can be taken on the way.
    DeltaInfo finish(const Digest& from, const Digest& to);

private:
    void write(std::string_view bytes);
    void write_head();

    std::string name_;
    DeltaInfo info_;
    NewFile file_;
};

class DeltaReader {
public:
    /// Checks the digest of the whole file first.
    explicit DeltaReader(const std::filesystem::path& path);
    [[nodiscard]] const DeltaInfo& info() const noexcept { return info_; }
    /// The next chunk, its runs in order and within the disk; nullopt after the last.
    std::optional<DeltaChunk> next();

private:
    [[noreturn]] void refuse(std::string_view why) const;
    void verify();
    std::string take(std::size_t count);
    void expect_in_order(const DeltaRun& run);

    std::filesystem::path path_;
    Fd file_;
    DeltaInfo info_;
    std::uint64_t at_ = 0;
    std::uint64_t end_ = 0; ///< where the foot begins
    std::uint64_t next_block_ = 0;
};

} // namespace stemma::image
