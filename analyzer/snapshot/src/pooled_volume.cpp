#include "pooled_volume.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>

namespace stemma::analyzer {

namespace fs = std::filesystem;

fs::path pack_path(const fs::path& folder, const std::string& name)
{
    return folder / (name + ".pack");
}

void ContentDigest::add(std::uint64_t block, const Digest& digest)
{
    std::array<std::byte, sizeof block> number{};
    for (std::size_t i = 0; i < number.size(); ++i) {
        number[i] = static_cast<std::byte>((block >> (8 * i)) & 0xffU);
    }
    hash_.update(std::span<const std::byte>(number));
    hash_.update(std::as_bytes(std::span(digest.bytes)));
}

PooledVolume::PooledVolume(const fs::path& folder,
                           BlockPool::Hold hold,
                           BlockMap map,
                           std::string name)
    : hold_(std::move(hold)), map_(std::move(map)), name_(std::move(name))
{
    for (const auto& pack : map_.packs) {
        packs_.emplace_back(pack_path(folder, pack));
    }
    check();
}

/// All that the map names is there, and the map is the one that was written.
void PooledVolume::check() const
{
    ContentDigest content;
    for (const auto& run : map_.runs) {
        const auto& pack = packs_[run.pack];
        for (std::uint64_t i = 0; i < run.count; ++i) {
            const auto number = static_cast<std::uint32_t>(run.first + i);
            if (!pack.has(number)) {
                throw Error(
                    ErrorCode::corrupt,
                    fmt::format("{}: block {} of {} is missing", name_, number, pack.name()));
            }
            content.add(run.block + i, pack.digest(number));
        }
    }
    if (content.finish() != map_.content) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: its map or the pool's index was changed", name_));
    }
}

void PooledVolume::write(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/)
{
    throw Error(ErrorCode::usage, fmt::format("{} cannot be written to", name_));
}

void PooledVolume::read(std::uint64_t offset, std::span<std::byte> into)
{
    if (offset > map_.size || into.size() > map_.size - offset) {
        throw Error(ErrorCode::corrupt, fmt::format("{} ends before", name_));
    }
    std::fill(into.begin(), into.end(), std::byte{0});
    const auto end = offset + into.size();
    for (auto run = run_at(offset); run != map_.runs.end(); ++run) {
        const auto until = std::min(end, (run->block + run->count) * pool_block);
        auto at = std::max(offset, run->block * pool_block);
        if (at >= end) {
            break;
        }
        while (at < until) {
            const auto bytes = block_of(*run, at / pool_block).subspan(at % pool_block);
            const auto count = std::min<std::uint64_t>(bytes.size(), until - at);
            std::copy_n(bytes.begin(), count, into.subspan(at - offset).begin());
            at += count;
        }
    }
}

std::vector<volume::Extent> PooledVolume::extents(std::uint64_t offset, std::uint64_t length)
{
    std::vector<volume::Extent> result;
    const auto end = offset + length;
    auto at = offset;
    const auto add = [&](std::uint64_t until, bool zero) {
        if (until > at) {
            result.push_back({at, until - at, zero});
            at = until;
        }
    };
    for (auto run = run_at(offset); run != map_.runs.end() && at < end; ++run) {
        add(std::min(end, run->block * pool_block), true);
        add(std::min(end, (run->block + run->count) * pool_block), false);
    }
    add(end, true);
    return result;
}

/// The first run that ends after `offset`.
PooledVolume::Runs::const_iterator PooledVolume::run_at(std::uint64_t offset) const
{
    return std::upper_bound(map_.runs.begin(),
                            map_.runs.end(),
                            offset / pool_block,
                            [](std::uint64_t block, const BlockMap::Run& run) {
                                return block < run.block + run.count;
                            });
}

std::span<const std::byte> PooledVolume::block_of(const BlockMap::Run& run, std::uint64_t block)
{
    keep_few(run.pack);
    return doing(
        [&]() -> std::span<const std::byte> {
            return packs_[run.pack].read(
                static_cast<std::uint32_t>(run.first + (block - run.block)));
        },
        "reading bytes {} to {} of {}",
        block* pool_block,
        (block + 1) * pool_block - 1,
        name_);
}

/// Of so many packs a frame stays in memory.
void PooledVolume::keep_few(std::uint32_t pack)
{
    constexpr std::size_t most_loaded = 32;
    if (std::find(loaded_.begin(), loaded_.end(), pack) != loaded_.end()) {
        return;
    }
    if (loaded_.size() == most_loaded) {
        packs_[loaded_.front()].forget();
        loaded_.erase(loaded_.begin());
    }
    loaded_.push_back(pack);
}

} // namespace stemma::analyzer
