#include "journal.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace stemma::ext {

namespace {

using volume::be32;
using volume::be64;

// The layout: Linux, include/linux/jbd2.h; all numbers big-endian.
constexpr std::uint32_t magic = 0xC03B3998;
constexpr std::uint32_t kind_descriptor = 1;
constexpr std::uint32_t kind_commit = 2;
constexpr std::uint32_t kind_superblock1 = 3;
constexpr std::uint32_t kind_superblock2 = 4;
constexpr std::uint32_t kind_revoke = 5;
constexpr std::uint32_t feature_64bit = 0x2;
constexpr std::uint32_t feature_csum2 = 0x8;
constexpr std::uint32_t feature_csum3 = 0x10;
constexpr std::uint32_t features_known = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20;
constexpr std::uint32_t tag_escaped = 1;
constexpr std::uint32_t tag_same_uuid = 2;
constexpr std::uint32_t tag_deleted = 4;
constexpr std::uint32_t tag_last = 8;
constexpr std::uint32_t fast_commit_feature = 0x400;
constexpr std::size_t most_log_blocks = std::size_t{1} << 24U;

std::uint16_t be16(std::span<const std::byte> data, std::size_t at) noexcept
{
    return static_cast<std::uint16_t>((std::to_integer<unsigned>(data[at]) << 8U) |
                                      std::to_integer<unsigned>(data[at + 1]));
}

std::uint32_t crc32c(std::uint32_t seed, std::span<const std::byte> data) noexcept
{
    return ::ext2fs_crc32c_le(
        seed, reinterpret_cast<const unsigned char*>(data.data()), data.size());
}

/// Sequence numbers wrap around.
bool is_after(std::uint32_t a, std::uint32_t b) noexcept
{
    return static_cast<std::int32_t>(a - b) > 0;
}

struct Tag {
    std::uint64_t block = 0;
    std::uint32_t flags = 0;
    std::uint32_t checksum = 0;
};

struct LoggedBlock {
    std::uint64_t block = 0;
    std::uint32_t sequence = 0;
    Logged place;
};

/// Reads one journal from its start to the last committed transaction.
class LogReader {
public:
    LogReader(volume::Volume& volume, std::uint32_t block_size, std::vector<std::uint64_t> map)
        : volume_(volume), block_size_(block_size), map_(std::move(map)), block_(block_size)
    {
    }

    Replay read()
    {
        read_superblock();
        Replay replay{.block_size = block_size_,
                      .blocks = {},
                      .journal_superblock = map_.front() * block_size_,
                      .next_sequence = sequence_};
        if (start_ != 0) {
            scan();
        }
        replay.next_sequence = sequence_ + 1;
        for (const LoggedBlock& each : committed_) {
            const auto revoked = revoked_.find(each.block);
            if (revoked == revoked_.end() || is_after(each.sequence, revoked->second)) {
                replay.blocks[each.block] = each.place;
            }
        }
        return replay;
    }

private:
    [[noreturn]] void refuse(std::string_view why) const
    {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: its journal is damaged: {}", volume_.name(), why),
                    "e2fsck on a copy of the image may save what can be saved");
    }

    void load(std::uint64_t log_block) { volume_.read(map_[log_block] * block_size_, block_); }

    void read_superblock()
    {
        load(0);
        const std::uint32_t kind = be32(block_, 4);
        if (be32(block_, 0) != magic || (kind != kind_superblock1 && kind != kind_superblock2)) {
            refuse("no superblock");
        }
        last_ = be32(block_, 16);
        first_ = be32(block_, 20);
        sequence_ = be32(block_, 24);
        start_ = be32(block_, 28);
        features_ = kind == kind_superblock2 ? be32(block_, 40) : 0;
        if (be32(block_, 12) != block_size_ || last_ > map_.size() || first_ == 0 ||
            first_ >= last_ || (start_ != 0 && (start_ < first_ || start_ >= last_))) {
            refuse("its superblock contradicts itself");
        }
        if ((features_ & ~features_known) != 0) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{}: its journal has features that are not known here ({:#x})",
                                    volume_.name(),
                                    features_));
        }
        checksummed_ = (features_ & (feature_csum2 | feature_csum3)) != 0;
        seed_ = crc32c(~0U, std::span(std::as_const(block_)).subspan(48, 16));
        if (checksummed_) {
            std::vector<std::byte> copy(block_.begin(), block_.begin() + 1024);
            volume::put_be32(copy, 252, 0);
            if (crc32c(~0U, copy) != be32(block_, 252)) {
                refuse("its superblock fails its checksum");
            }
        }
    }

    [[nodiscard]] std::uint64_t after(std::uint64_t log_block, std::uint64_t count) const
    {
        const std::uint64_t next = log_block + count;
        return next >= last_ ? first_ + (next - last_) : next;
    }

    /// The transactions in order; ends at the first block that does not belong to the next one.
    void scan()
    {
        std::uint64_t at = start_;
        std::uint64_t used = 0; // no log is longer than itself
        std::vector<LoggedBlock> open;
        std::vector<std::uint64_t> revokes;
        bool sound = true;
        while (used < last_) {
            load(at);
            if (be32(block_, 0) != magic || be32(block_, 8) != sequence_) {
                return;
            }
            const std::uint32_t kind = be32(block_, 4);
            std::uint64_t length = 1;
            if (kind == kind_descriptor) {
                sound = sound && tail_is_sound();
                const auto tags = read_tags();
                length += tags.size();
                take_tags(tags, at, open);
            } else if (kind == kind_revoke) {
                sound = sound && tail_is_sound();
                read_revokes(revokes);
            } else if (kind == kind_commit) {
                if (checksummed_ && !commit_is_sound()) {
                    return;
                }
                if (!sound) {
                    refuse("a block of a committed transaction fails its checksum");
                }
                commit(open, revokes);
            } else {
                return;
            }
            used += length;
            at = after(at, length);
        }
    }

    void commit(std::vector<LoggedBlock>& open, std::vector<std::uint64_t>& revokes)
    {
        for (const LoggedBlock& each : open) {
            if (each.place.offset == 0) {
                refuse(fmt::format("the logged copy of block {} fails its checksum", each.block));
            }
        }
        committed_.insert(committed_.end(), open.begin(), open.end());
        for (const std::uint64_t block : revokes) {
            revoked_[block] = sequence_;
        }
        open.clear();
        revokes.clear();
        ++sequence_;
    }

    [[nodiscard]] std::size_t tag_size() const
    {
        if ((features_ & feature_csum3) != 0) {
            return 16;
        }
        const std::size_t size = (features_ & feature_csum2) != 0 ? 14 : 12;
        return (features_ & feature_64bit) != 0 ? size : size - 4;
    }

    [[nodiscard]] std::vector<Tag> read_tags() const
    {
        const std::size_t size = tag_size();
        const std::size_t end = block_size_ - (checksummed_ ? 4 : 0);
        std::vector<Tag> tags;
        std::size_t at = 12;
        while (at + size <= end && tags.size() < last_) {
            Tag tag;
            tag.block = be32(block_, at);
            if ((features_ & feature_csum3) != 0) {
                tag.flags = be32(block_, at + 4);
                tag.checksum = be32(block_, at + 12);
            } else {
                tag.checksum = be16(block_, at + 4);
                tag.flags = be16(block_, at + 6);
            }
            if ((features_ & feature_64bit) != 0) {
                tag.block |= static_cast<std::uint64_t>(be32(block_, at + 8)) << 32U;
            }
            tags.push_back(tag);
            at += size + ((tag.flags & tag_same_uuid) != 0 ? 0 : 16);
            if ((tag.flags & tag_last) != 0) {
                break;
            }
        }
        return tags;
    }

    /// Overwrites block_.
    void take_tags(const std::vector<Tag>& tags, std::uint64_t at, std::vector<LoggedBlock>& open)
    {
        for (std::size_t i = 0; i < tags.size(); ++i) {
            const Tag& tag = tags[i];
            if ((tag.flags & tag_deleted) != 0) {
                continue;
            }
            const std::uint64_t place = after(at, 1 + i);
            std::uint64_t offset = map_[place] * block_size_;
            if (checksummed_ && !copy_is_sound(place, tag)) {
                offset = 0; // matters only if the transaction was committed
            }
            open.push_back(
                {.block = tag.block,
                 .sequence = sequence_,
                 .place = {.offset = offset, .escaped = (tag.flags & tag_escaped) != 0}});
            if (open.size() + committed_.size() > most_log_blocks) {
                refuse("it is longer than it can be");
            }
        }
    }

    bool copy_is_sound(std::uint64_t place, const Tag& tag)
    {
        load(place);
        std::array<std::byte, 4> sequence{};
        volume::put_be32(sequence, 0, sequence_);
        const std::uint32_t sum = crc32c(crc32c(seed_, sequence), block_);
        return (features_ & feature_csum3) != 0 ? sum == tag.checksum
                                                : (sum & 0xFFFFU) == tag.checksum;
    }

    [[nodiscard]] bool tail_is_sound() const
    {
        if (!checksummed_) {
            return true;
        }
        std::vector<std::byte> copy = block_;
        volume::put_be32(copy, block_size_ - 4, 0);
        return crc32c(seed_, copy) == be32(block_, block_size_ - 4);
    }

    [[nodiscard]] bool commit_is_sound() const
    {
        std::vector<std::byte> copy = block_;
        volume::put_be32(copy, 16, 0);
        return crc32c(seed_, copy) == be32(block_, 16);
    }

    void read_revokes(std::vector<std::uint64_t>& into) const
    {
        const std::size_t width = (features_ & feature_64bit) != 0 ? 8 : 4;
        const std::size_t most = block_size_ - (checksummed_ ? 4 : 0);
        const std::size_t end = std::min<std::size_t>(be32(block_, 12), most);
        for (std::size_t at = 16; at + width <= end; at += width) {
            into.push_back(width == 8 ? be64(block_, at) : be32(block_, at));
        }
        if (into.size() > most_log_blocks) {
            refuse("it revokes more than there is");
        }
    }

    volume::Volume& volume_;
    std::uint32_t block_size_;
    std::vector<std::uint64_t> map_; ///< block of the log → block of the volume
    std::vector<std::byte> block_;
    std::uint64_t last_ = 0;
    std::uint64_t first_ = 0;
    std::uint64_t start_ = 0;
    std::uint32_t sequence_ = 0;
    std::uint32_t features_ = 0;
    std::uint32_t seed_ = 0;
    bool checksummed_ = false;
    std::vector<LoggedBlock> committed_;
    std::unordered_map<std::uint64_t, std::uint32_t> revoked_;
};

class ReplayedVolume final : public volume::Volume {
public:
    ReplayedVolume(std::unique_ptr<volume::Volume> inner, Replay replay)
        : inner_(std::move(inner)), replay_(std::move(replay))
    {
    }
    [[nodiscard]] std::string name() const override { return inner_->name(); }
    [[nodiscard]] std::uint64_t size() const override { return inner_->size(); }
    [[nodiscard]] bool writable() const override { return false; }
    void read(std::uint64_t offset, std::span<std::byte> into) override
    {
        inner_->read(offset, into);
        const std::uint64_t block_size = replay_.block_size;
        const std::uint64_t end = offset + into.size();
        for (std::uint64_t block = offset / block_size; block * block_size < end; ++block) {
            const auto found = replay_.blocks.find(block);
            if (found != replay_.blocks.end()) {
                overlay(block, found->second, offset, into);
            }
        }
    }
    void write(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) override
    {
        throw Error(ErrorCode::usage, fmt::format("{} is open for reading only", name()));
    }
    void flush() override {}

private:
    void overlay(std::uint64_t block,
                 const Logged& logged,
                 std::uint64_t offset,
                 std::span<std::byte> into)
    {
        std::vector<std::byte> copy(replay_.block_size);
        inner_->read(logged.offset, copy);
        if (logged.escaped) {
            volume::put_be32(copy, 0, magic);
        }
        const std::uint64_t start = block * replay_.block_size;
        const std::uint64_t from = std::max(start, offset);
        const std::uint64_t to = std::min(start + copy.size(), offset + into.size());
        std::copy(copy.begin() + static_cast<std::ptrdiff_t>(from - start),
                  copy.begin() + static_cast<std::ptrdiff_t>(to - start),
                  into.begin() + static_cast<std::ptrdiff_t>(from - offset));
    }

    std::unique_ptr<volume::Volume> inner_;
    Replay replay_;
};

} // namespace

bool needs_replay(Session& session)
{
    const auto& super = *session.fs()->super;
    // A copy of the superblock does not know how the file system was left: its journal does.
    const bool unknown = session.is_from_backup() && super.s_journal_inum != 0 &&
                         (super.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL) != 0;
    return unknown || (super.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER) != 0;
}

Replay read_log(Session& session)
{
    const auto& super = *session.fs()->super;
    if (super.s_journal_inum == 0) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: its journal lies on another device and was not replayed",
                                session.volume().name()),
                    "boot the machine once, or run e2fsck with that device");
    }
    if ((super.s_feature_compat & fast_commit_feature) != 0) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: it was not closed cleanly and uses fast commits",
                                session.volume().name()),
                    "boot the machine once and shut it down, or run e2fsck on a copy");
    }
    const Inode inode = session.read_inode(super.s_journal_inum, "the journal");
    std::vector<std::uint64_t> map;
    for (const Run& run : session.runs(super.s_journal_inum, inode, "the journal")) {
        if (run.logical != map.size() || run.count > most_log_blocks - map.size()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: its journal has holes", session.volume().name()));
        }
        for (std::uint64_t i = 0; i < run.count; ++i) {
            map.push_back(run.physical + i);
        }
    }
    if (map.empty()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: its journal is empty", session.volume().name()));
    }
    return LogReader(session.volume(), session.block_size(), std::move(map)).read();
}

void replay_onto(volume::Volume& volume, const Replay& replay)
{
    std::vector<std::byte> block(replay.block_size);
    for (const auto& [number, logged] : std::map(replay.blocks.begin(), replay.blocks.end())) {
        volume.read(logged.offset, block);
        if (logged.escaped) {
            volume::put_be32(block, 0, magic);
        }
        volume.write(number * replay.block_size, block);
    }
    volume.flush();
    // s_start = 0 says that the log is empty; it goes on with a number that no old block has.
    std::vector<std::byte> head(1024);
    volume.read(replay.journal_superblock, head);
    volume::put_be32(head, 24, replay.next_sequence);
    volume::put_be32(head, 28, 0);
    if ((be32(head, 40) & (feature_csum2 | feature_csum3)) != 0) {
        volume::put_be32(head, 252, 0);
        volume::put_be32(head, 252, crc32c(~0U, head));
    }
    volume.write(replay.journal_superblock, head);
    volume.flush();
}

std::unique_ptr<volume::Volume> replayed_view(std::unique_ptr<volume::Volume> volume, Replay replay)
{
    return std::make_unique<ReplayedVolume>(std::move(volume), std::move(replay));
}

} // namespace stemma::ext
