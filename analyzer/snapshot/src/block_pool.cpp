#include "stemma/analyzer/block_pool.hpp"

#include "stemma/core/clock.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/uuid.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "pack_file.hpp"
#include "pooled_volume.hpp"

namespace stemma::analyzer {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view pack_suffix = ".pack";
/// Zeros are looked for in steps of this; reads are of this too.
constexpr std::uint64_t piece_size = 256U << 10U;

/// Names of packs, sorted; and files of which nobody knows the end, left by who was killed.
struct Listing {
    std::vector<std::string> packs;
    std::vector<fs::path> unfinished;
};
Listing list(const fs::path& folder)
{
    Listing listing;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        const auto& path = entry.path();
        if (path.extension() == pack_suffix && is_uuid(path.stem().string())) {
            listing.packs.push_back(path.stem().string());
        } else if (path.filename().string().starts_with('.')) {
            listing.unfinished.push_back(path);
        }
    }
    std::sort(listing.packs.begin(), listing.packs.end());
    return listing;
}

bool is_zero(BlockView block)
{
    // Equal to itself one byte further on, and its first byte is zero.
    return block.front() == std::byte{0} &&
           std::equal(block.begin() + 1, block.end(), block.begin());
}

/// Calls `use` with the number and the bytes of each block that is not zeros, in order. The last
/// one is filled up with zeros.
template <typename Use>
void for_each_block(volume::Volume& from, const Cancel& cancel, Use&& use)
{
    std::vector<std::byte> piece(piece_size);
    const auto take = [&](std::uint64_t offset, std::uint64_t length) {
        cancel.check();
        std::fill(piece.begin(), piece.end(), std::byte{0});
        from.read(offset, std::span(piece).first(length));
        for (std::uint64_t at = 0; at < length; at += pool_block) {
            const auto block = BlockView(piece.data() + at, pool_block);
            if (!is_zero(block)) {
                use((offset + at) / pool_block, block);
            }
        }
    };
    constexpr std::uint64_t window = 64U << 20U;
    for (std::uint64_t start = 0; start < from.size(); start += window) {
        const auto length = std::min(window, from.size() - start);
        std::uint64_t done = start; // blocks that two extents share are read once
        for (const auto& extent : from.extents(start, length)) {
            const auto end = extent.offset + extent.length;
            auto at = std::max(done, extent.offset - extent.offset % pool_block);
            for (; !extent.zero && at < end; at = done) {
                const auto stop = std::min(start + length, at + piece_size);
                take(at, stop - at);
                done = stop;
            }
        }
    }
}

/// Where blocks are that the pool has: 16 bytes for each, and its packs' digests.
class Index {
public:
    Index(const fs::path& folder, std::vector<std::string> names) : names_(std::move(names))
    {
        for (const auto& name : names_) {
            packs_.emplace_back(pack_path(folder, name));
        }
        for (std::uint32_t pack = 0; pack < packs_.size(); ++pack) {
            for (std::uint32_t block = 0; block < packs_[pack].blocks(); ++block) {
                if (packs_[pack].has(block)) {
                    entries_.push_back({prefix(packs_[pack].digest(block)), pack, block});
                }
            }
        }
        std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
            return std::tie(a.prefix, a.pack, a.block) < std::tie(b.prefix, b.pack, b.block);
        });
    }

    struct Place {
        std::uint32_t pack = 0;
        std::uint32_t block = 0;
    };
    [[nodiscard]] std::optional<Place> find(const Digest& digest) const
    {
        const auto key = prefix(digest);
        auto entry = std::lower_bound(entries_.begin(),
                                      entries_.end(),
                                      key,
                                      [](const Entry& a, std::uint64_t b) { return a.prefix < b; });
        for (; entry != entries_.end() && entry->prefix == key; ++entry) {
            if (packs_[entry->pack].digest(entry->block) == digest) {
                return Place{entry->pack, entry->block};
            }
        }
        return std::nullopt;
    }
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

private:
    struct Entry {
        std::uint64_t prefix = 0;
        std::uint32_t pack = 0;
        std::uint32_t block = 0;
    };
    static std::uint64_t prefix(const Digest& digest) { return std::hash<Digest>{}(digest); }

    std::vector<std::string> names_;
    std::vector<PackReader> packs_;
    std::vector<Entry> entries_;
};

/// Makes a map out of blocks in order.
class MapMaker {
public:
    explicit MapMaker(std::uint64_t size) { map_.size = size; }

    void add(std::uint64_t block, const std::string& pack, std::uint32_t number)
    {
        const auto [found, is_new] =
            packs_.emplace(pack, static_cast<std::uint32_t>(map_.packs.size()));
        if (is_new) {
            map_.packs.push_back(pack);
        }
        if (!map_.runs.empty()) {
            auto& last = map_.runs.back();
            if (last.pack == found->second && last.block + last.count == block &&
                last.first + last.count == number) {
                ++last.count;
                return;
            }
        }
        map_.runs.push_back({block, 1, found->second, number});
    }
    BlockMap finish(const Digest& content)
    {
        map_.content = content;
        return std::move(map_);
    }

private:
    BlockMap map_;
    std::map<std::string, std::uint32_t> packs_;
};

using Used = std::map<std::string, std::vector<bool>>; ///< by pack: blocks that some map names

Used used_by(const std::vector<BlockMap>& maps)
{
    Used used;
    for (const auto& map : maps) {
        for (const auto& run : map.runs) {
            auto& blocks = used[map.packs[run.pack]];
            blocks.resize(std::max<std::size_t>(blocks.size(), run.first + run.count));
            std::fill_n(blocks.begin() + run.first, static_cast<std::ptrdiff_t>(run.count), true);
        }
    }
    return used;
}

std::uint64_t size_of(const fs::path& file)
{
    std::error_code ignored;
    const auto size = fs::file_size(file, ignored);
    return ignored ? 0 : size;
}

/// The same pack without the blocks that nobody uses.
/// returns  bytes that it is smaller by
std::uint64_t write_anew(const fs::path& file, PackReader& pack, const std::vector<bool>& used)
{
    const auto before = size_of(file);
    PackWriter writer(file);
    for (std::uint32_t block = 0; block < pack.blocks(); ++block) {
        if (block < used.size() && used[block]) {
            writer.add(pack.digest(block), pack.read(block));
        } else {
            writer.skip(pack.digest(block));
        }
    }
    const auto after = writer.commit();
    return before > after ? before - after : 0;
}

std::uint64_t count_unused(const PackReader& pack, const std::vector<bool>& used)
{
    std::uint64_t unused = 0;
    for (std::uint32_t block = 0; block < pack.blocks(); ++block) {
        const bool needed = block < used.size() && used[block];
        unused += pack.has(block) && !needed ? 1U : 0U;
    }
    return unused;
}

/// A pack that no map names goes, damaged or not.
void free_whole(const fs::path& file, bool only_say, BlockPool::Freed& freed)
{
    try {
        freed.blocks += count_unused(PackReader(file), {});
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt) {
            throw;
        }
    }
    freed.bytes += size_of(file);
    if (!only_say) {
        fs::remove(file);
    }
}

/// What is whole of a damaged pack may still be read: it stays as it is.
void free_unused(const fs::path& file,
                 const std::vector<bool>& used,
                 bool only_say,
                 BlockPool::Freed& freed)
{
    try {
        PackReader pack(file);
        const auto unused = count_unused(pack, used);
        if (unused > 0 && !only_say) {
            freed.bytes += write_anew(file, pack, used);
        }
        freed.blocks += unused;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt) {
            throw;
        }
        freed.kept.push_back(error.one_line());
    }
}

} // namespace

BlockPool::BlockPool(fs::path folder) : folder_(std::move(folder)) {}

Fd BlockPool::lock(Lock how, const Cancel& cancel) const
{
    using namespace std::chrono_literals;
    std::error_code failure;
    fs::create_directories(folder_, failure);
    if (failure) {
        throw system_error(failure.value(), fmt::format("make the folder {}", folder_.string()));
    }
    fs::permissions(folder_, fs::perms::owner_all); // it is what is inside VMs
    auto fd = open_file((folder_ / "lock").string(), O_RDWR | O_CREAT, 0600);
    while (::flock(fd.get(), (how == Lock::shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            throw system_error(errno, fmt::format("lock {}", folder_.string()));
        }
        cancel.check();
        std::this_thread::sleep_for(50ms);
    }
    return fd;
}

BlockPool::Hold BlockPool::hold(const Cancel& cancel) const
{
    return Hold(lock(Lock::shared, cancel));
}

BlockPool::Put
BlockPool::put(const Hold& /*hold*/, volume::Volume& from, const Cancel& cancel) const
{
    const Index index(folder_, list(folder_).packs);
    const auto name = make_uuid7(SystemClock().now());
    PackWriter writer(pack_path(folder_, name));
    std::unordered_map<Digest, std::uint32_t> fresh;
    ContentDigest content;
    MapMaker maker(from.size());
    Put result;
    for_each_block(from, cancel, [&](std::uint64_t number, BlockView block) {
        const auto digest = Sha256().update(std::span<const std::byte>(block)).finish();
        content.add(number, digest);
        ++result.blocks;
        if (const auto known = index.find(digest)) {
            maker.add(number, index.names()[known->pack], known->block);
            return;
        }
        const auto [place, is_new] = fresh.emplace(digest, 0);
        if (is_new) {
            place->second = writer.add(digest, block);
        }
        maker.add(number, name, place->second);
    });
    result.fresh = fresh.size();
    if (result.fresh > 0) {
        result.stored = writer.commit();
    }
    result.map = maker.finish(content.finish());
    return result;
}

std::unique_ptr<volume::Volume> BlockPool::open(Hold hold, BlockMap map, std::string name) const
{
    return std::make_unique<PooledVolume>(
        folder_, std::move(hold), std::move(map), std::move(name));
}

BlockPool::Total BlockPool::total() const
{
    Total total;
    for (const auto& name : list(folder_).packs) {
        const auto file = pack_path(folder_, name);
        try {
            const PackReader pack(file);
            total.blocks += count_unused(pack, {});
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) {
                throw;
            }
            total.damaged.push_back(error.one_line());
        }
        total.bytes += size_of(file);
        ++total.packs;
    }
    return total;
}

BlockPool::Freed
BlockPool::collect(const std::vector<BlockMap>& maps, bool only_say, const Cancel& cancel) const
{
    Freed freed;
    if (!fs::exists(folder_)) {
        return freed;
    }
    const auto alone = lock(only_say ? Lock::shared : Lock::alone, cancel);
    const auto used = used_by(maps);
    const auto listing = list(folder_);
    for (const auto& name : listing.packs) {
        cancel.check();
        const auto found = used.find(name);
        const auto file = pack_path(folder_, name);
        if (found == used.end()) {
            free_whole(file, only_say, freed);
        } else {
            free_unused(file, found->second, only_say, freed);
        }
    }
    for (const auto& file : listing.unfinished) {
        if (!only_say) {
            std::error_code ignored;
            fs::remove(file, ignored);
        }
    }
    return freed;
}

namespace {

/// What a block's reading complains of; empty: nothing.
std::string problem_of(volume::Volume& kept, std::uint64_t at, std::span<std::byte> block)
{
    try {
        kept.read(at, block);
        return {};
    } catch (const Error& error) {
        return error.message();
    }
}

} // namespace

std::vector<std::string> damage_of(volume::Volume& kept, std::size_t limit, const Cancel& cancel)
{
    struct Run {
        std::uint64_t from = 0;
        std::uint64_t until = 0;
        std::string why; ///< of its first block
    };
    std::vector<Run> runs;
    std::vector<std::byte> block(pool_block);
    for (const auto& extent : kept.extents(0, kept.size())) {
        const auto end = extent.zero ? extent.offset : extent.offset + extent.length;
        for (auto at = extent.offset; at < end && runs.size() <= limit; at += pool_block) {
            const auto length = std::min<std::uint64_t>(pool_block, end - at);
            cancel.check();
            const auto problem = problem_of(kept, at, std::span(block).first(length));
            if (problem.empty()) {
                continue;
            }
            if (runs.empty() || runs.back().until != at) {
                runs.push_back({at, at, problem});
            }
            runs.back().until = at + length;
        }
    }
    std::vector<std::string> found;
    found.reserve(runs.size());
    for (const auto& run : runs) {
        found.push_back(fmt::format("bytes {} to {}: {}", run.from, run.until - 1, run.why));
    }
    found.resize(std::min(found.size(), limit));
    return found;
}

void copy_content(volume::Volume& from, volume::Volume& to, const Cancel& cancel)
{
    for_each_block(from, cancel, [&](std::uint64_t number, BlockView block) {
        const auto offset = number * pool_block;
        const auto length = std::min<std::uint64_t>(pool_block, to.size() - offset);
        to.write(offset, std::span<const std::byte>(block).first(length));
    });
    to.flush();
}

} // namespace stemma::analyzer
