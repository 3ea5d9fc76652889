#pragma once

#include "stemma/analyzer/block_pool.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "pack_file.hpp"

namespace stemma::analyzer {

std::filesystem::path pack_path(const std::filesystem::path& folder, const std::string& name);

/// BlockMap::content, block by block.
class ContentDigest {
public:
    void add(std::uint64_t block, const Digest& digest);
    Digest finish() { return hash_.finish(); }

private:
    Sha256 hash_;
};

/// A map's bytes out of its packs; each block is checked as it is read.
class PooledVolume final : public volume::Volume {
public:
    /// throws  not_found, corrupt: a pack, a block or the map itself is not what it was
    PooledVolume(const std::filesystem::path& folder,
                 BlockPool::Hold hold,
                 BlockMap map,
                 std::string name);

    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] std::uint64_t size() const override { return map_.size; }
    [[nodiscard]] bool writable() const override { return false; }
    void read(std::uint64_t offset, std::span<std::byte> into) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;
    void flush() override {}
    [[nodiscard]] std::vector<volume::Extent> extents(std::uint64_t offset,
                                                      std::uint64_t length) override;

private:
    using Runs = std::vector<BlockMap::Run>;
    void check() const;
    [[nodiscard]] Runs::const_iterator run_at(std::uint64_t offset) const;
    std::span<const std::byte> block_of(const BlockMap::Run& run, std::uint64_t block);
    void keep_few(std::uint32_t pack);

    BlockPool::Hold hold_;
    BlockMap map_;
    std::string name_;
    std::vector<PackReader> packs_;
    std::vector<std::uint32_t> loaded_; ///< packs of which a frame is in memory
};

} // namespace stemma::analyzer
