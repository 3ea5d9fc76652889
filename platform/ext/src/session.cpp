#include "session.hpp"

#include "stemma/core/text.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>

namespace stemma::ext {

namespace {

constexpr std::size_t most_entries = std::size_t{1} << 20U; ///< of one directory
constexpr std::size_t most_known = std::size_t{1} << 21U;   ///< entries kept in all

struct EntrySink {
    Directory entries;
    bool too_many = false;
    bool failed = false;
};

// NOLINTNEXTLINE(readability-function-size): libext2fs calls it with seven
int take_entry(ext2_ino_t /*dir*/,
               int /*entry*/,
               ext2_dir_entry* entry,
               int /*offset*/,
               int /*block_size*/,
               char* /*buffer*/,
               void* user) noexcept
{
    auto& sink = *static_cast<EntrySink*>(user);
    if (entry->inode == 0) {
        return 0;
    }
    try {
        const std::string name(entry->name,
                               static_cast<std::size_t>(::ext2fs_dirent_name_len(entry)));
        // A name that no kernel would make ("/" or NUL inside) could lead a reader astray.
        if (volume::is_plain_name(name)) {
            sink.entries.emplace(
                name, DirEntry{.inode = entry->inode, .type = ::ext2fs_dirent_file_type(entry)});
        }
        if (sink.entries.size() > most_entries) {
            sink.too_many = true;
            return DIRENT_ABORT;
        }
        return 0;
    } catch (...) {
        sink.failed = true;
        return DIRENT_ABORT;
    }
}

bool is_damaged_superblock(errcode_t code) noexcept
{
    return code == EXT2_ET_BAD_MAGIC || code == EXT2_ET_SB_CSUM_INVALID ||
           code == EXT2_ET_CORRUPT_SUPERBLOCK;
}

} // namespace

volume::NodeKind kind_of(std::uint32_t mode) noexcept
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return volume::NodeKind::directory;
    case S_IFLNK:
        return volume::NodeKind::symlink;
    case S_IFIFO:
        return volume::NodeKind::fifo;
    case S_IFSOCK:
        return volume::NodeKind::socket;
    case S_IFCHR:
        return volume::NodeKind::char_device;
    case S_IFBLK:
        return volume::NodeKind::block_device;
    default:
        return volume::NodeKind::file;
    }
}

std::uint64_t size_of(const Inode& inode) noexcept
{
    return inode.i_size | (std::uint64_t{inode.i_size_high} << 32U);
}

volume::NodeInfo info_of(ext2_ino_t number, const Inode& inode, std::uint32_t inode_size)
{
    volume::NodeInfo info;
    info.kind = kind_of(inode.i_mode);
    info.mode = inode.i_mode & 07777U;
    info.uid = inode.i_uid | (static_cast<std::uint32_t>(inode.osd2.linux2.l_i_uid_high) << 16U);
    info.gid = inode.i_gid | (static_cast<std::uint32_t>(inode.osd2.linux2.l_i_gid_high) << 16U);
    info.size = size_of(inode);
    info.inode = number;
    info.links = inode.i_links_count;
    std::int64_t seconds = static_cast<std::int32_t>(inode.i_mtime);
    std::int64_t nanoseconds = 0;
    // The extra fields exist when the inode is large and says that it uses so much of itself.
    if (inode_size > EXT2_GOOD_OLD_INODE_SIZE && inode.i_extra_isize >= 12) {
        seconds += static_cast<std::int64_t>(inode.i_mtime_extra & 3U) << 32U;
        nanoseconds = inode.i_mtime_extra >> 2U;
    }
    info.modified = Time(std::chrono::microseconds(seconds * 1'000'000 + nanoseconds / 1000));
    return info;
}

void expect_whole(Session& session)
{
    const std::uint64_t blocks = ::ext2fs_blocks_count(session.fs()->super);
    if (blocks > session.volume().size() / session.block_size()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: the file system claims {} blocks of {} bytes, which is more "
                                "than its disk holds ({} bytes)",
                                session.volume().name(),
                                blocks,
                                session.block_size(),
                                session.volume().size()),
                    "the image was cut off, or its partition is smaller than the file system");
    }
}

Session::Session(volume::Volume& volume, int flags)
{
    target_.volume = &volume;
    const int all = flags | EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP;
    errcode_t code = open_on(target_, all, {}, &fs_);
    // Who writes must not build on a copy that may be old.
    if (is_damaged_superblock(code) && (flags & EXT2_FLAG_RW) == 0) {
        from_backup_ = open_backup(all) == 0;
        code = from_backup_ ? 0 : code;
    }
    check(code, fmt::format("open the ext file system of {}", volume.name()));
    if (fs_->super->s_feature_incompat & EXT3_FEATURE_INCOMPAT_JOURNAL_DEV) {
        ::ext2fs_free(fs_);
        throw Error(ErrorCode::unsupported,
                    fmt::format("{} is an external journal, not a file system", volume.name()));
    }
}

errcode_t Session::open_backup(int flags)
{
    // Groups 1 and 3 of the usual sizes; every layout but sparse_super2 has copies there.
    constexpr std::array places = {SuperblockPlace{.block = 32768, .block_size = 4096},
                                   SuperblockPlace{.block = 8193, .block_size = 1024},
                                   SuperblockPlace{.block = 16384, .block_size = 2048},
                                   SuperblockPlace{.block = 98304, .block_size = 4096},
                                   SuperblockPlace{.block = 24577, .block_size = 1024}};
    errcode_t code = EXT2_ET_BAD_MAGIC;
    for (const SuperblockPlace& place : places) {
        target_.failure = nullptr;
        code = open_on(target_, flags, place, &fs_);
        if (code == 0) {
            return code;
        }
    }
    return code;
}

Session::~Session()
{
    if (fs_ != nullptr) {
        ::ext2fs_free(fs_); // writes nothing: what was not flushed is given up
    }
}

std::string Session::driver() const
{
    const auto& super = *fs_->super;
    constexpr std::uint32_t ext3_incompatible = EXT2_FEATURE_INCOMPAT_FILETYPE |
                                                EXT3_FEATURE_INCOMPAT_RECOVER |
                                                EXT2_FEATURE_INCOMPAT_META_BG;
    constexpr std::uint32_t ext3_ro =
        EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE;
    std::string name =
        (super.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL) != 0 ? "ext3" : "ext2";
    if ((super.s_feature_incompat & ~ext3_incompatible) != 0 ||
        (super.s_feature_ro_compat & ~ext3_ro) != 0) {
        name = "ext4";
    }
    return from_backup_ ? name + " (from a backup of its superblock)" : name;
}

void Session::check(errcode_t code, std::string_view what)
{
    if (target_.failure != nullptr) {
        std::rethrow_exception(std::exchange(target_.failure, nullptr));
    }
    if (code == 0) {
        return;
    }
    ErrorCode kind = ErrorCode::corrupt;
    std::string hint;
    switch (code) {
    case EXT2_ET_UNSUPP_FEATURE:
    case EXT2_ET_RO_UNSUPP_FEATURE:
        kind = ErrorCode::unsupported;
        hint = "libguestfs may know it: apt-get install libguestfs-tools";
        break;
    case EXT2_ET_BLOCK_ALLOC_FAIL:
    case EXT2_ET_DIR_NO_SPACE:
        kind = ErrorCode::io;
        hint =
            "the file system inside the image is full: make the disk larger, or remove something";
        break;
    case EXT2_ET_INODE_ALLOC_FAIL:
        kind = ErrorCode::io;
        hint = "the file system inside the image has no inode left: remove something";
        break;
    case EXT2_ET_NO_MEMORY:
        kind = ErrorCode::io;
        break;
    default:
        break;
    }
    throw Error(kind, fmt::format("cannot {}: {}", what, ::error_message(code)), hint);
}

Inode Session::read_inode(ext2_ino_t number, const std::string& path)
{
    Inode inode{};
    if (number == 0 || number > fs_->super->s_inodes_count) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: {} leads to inode {}, which does not exist",
                                volume().name(),
                                printable(path),
                                number));
    }
    check(::ext2fs_read_inode_full(fs_, number, small_part(inode), sizeof inode),
          fmt::format("read inode {} ({})", number, printable(path)));
    return inode;
}

const Directory& Session::directory(ext2_ino_t number, const std::string& path)
{
    if (Directory* known = known_directory(number)) {
        return *known;
    }
    EntrySink sink;
    const errcode_t code = ::ext2fs_dir_iterate2(fs_, number, 0, nullptr, take_entry, &sink);
    check(code, fmt::format("read the folder {}", printable(path)));
    if (sink.too_many || sink.failed) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{} has more than {} entries", printable(path), most_entries));
    }
    while (known_entries_ + sink.entries.size() > most_known && !known_.empty()) {
        forget_directory(known_.back().number);
    }
    known_entries_ += sink.entries.size();
    known_.push_front({.number = number, .entries = std::move(sink.entries)});
    known_by_number_[number] = known_.begin();
    return known_.front().entries;
}

Directory* Session::known_directory(ext2_ino_t number)
{
    const auto found = known_by_number_.find(number);
    if (found == known_by_number_.end()) {
        return nullptr;
    }
    known_.splice(known_.begin(), known_, found->second);
    return &known_.front().entries;
}

void Session::forget_directory(ext2_ino_t number)
{
    const auto found = known_by_number_.find(number);
    if (found != known_by_number_.end()) {
        known_entries_ -= std::min(known_entries_, found->second->entries.size());
        known_.erase(found->second);
        known_by_number_.erase(found);
    }
}

std::optional<volume::WalkedTree::Step>
Session::step(std::uint64_t folder, const std::string& name, const std::string& shown)
{
    const Directory& entries =
        directory(static_cast<ext2_ino_t>(folder), shown.empty() ? "/" : shown);
    const auto found = entries.find(name);
    if (found == entries.end()) {
        return std::nullopt;
    }
    const ext2_ino_t number = found->second.inode;
    return Step{.node = number, .kind = kind_of(read_inode(number, shown + "/" + name).i_mode)};
}

std::string Session::link(std::uint64_t node, const std::string& shown)
{
    const auto number = static_cast<ext2_ino_t>(node);
    return link_target(number, read_inode(number, shown), shown);
}

std::optional<ext2_ino_t> Session::resolve(const std::string& path, bool through)
{
    const auto end = volume::walk_path(*this, {EXT2_ROOT_INO}, path, through);
    return end ? std::optional(static_cast<ext2_ino_t>(end->node())) : std::nullopt;
}

void Session::close(bool flush)
{
    if (fs_ == nullptr) {
        return;
    }
    if (flush) {
        check(::ext2fs_flush(fs_), fmt::format("write the file system of {}", volume().name()));
    }
    ::ext2fs_free(std::exchange(fs_, nullptr));
}

} // namespace stemma::ext
