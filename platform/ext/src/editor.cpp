#include "stemma/ext/editor.hpp"

#include "stemma/core/text.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "folders.hpp"
#include "journal.hpp"
#include "session_tree.hpp"

namespace stemma::ext {

namespace {

using volume::NodeKind;

constexpr std::int64_t last_short_second = 2147483647; ///< 2038, where 128-byte inodes end
constexpr std::int64_t last_long_second = 15032385535; ///< 2446, where two more bits end

struct Forbidden {
    std::uint32_t bit;
    std::string_view name;
};
constexpr std::array forbidden_incompatible = {Forbidden{0x400, "ea_inode"},
                                               Forbidden{0x8000, "inline_data"},
                                               Forbidden{0x10000, "encrypt"},
                                               Forbidden{0x20000, "casefold"},
                                               Forbidden{0x100, "mmp"},
                                               Forbidden{0x8, "journal_dev"}};
constexpr std::array forbidden_ro = {Forbidden{0x100, "quota"},
                                     Forbidden{0x200, "bigalloc"},
                                     Forbidden{0x2000, "project"},
                                     Forbidden{0x8000, "verity"},
                                     Forbidden{0x80, "snapshot"}};
constexpr std::uint32_t stable_inodes = 0x800;
constexpr std::uint32_t orphan_present = 0x10000;

[[noreturn]] void refuse_write(const Session& session, std::string_view why, std::string hint)
{
    throw Error(ErrorCode::unsupported,
                fmt::format("{} cannot be changed: {}", session.volume().name(), why),
                std::move(hint));
}

void expect_writable_features(const Session& session)
{
    const auto& super = *session.fs()->super;
    std::string names;
    const auto add = [&](bool set, std::string_view name) {
        if (set) {
            names += (names.empty() ? "" : ", ") + std::string(name);
        }
    };
    for (const Forbidden& each : forbidden_incompatible) {
        add((super.s_feature_incompat & each.bit) != 0, each.name);
    }
    for (const Forbidden& each : forbidden_ro) {
        add((super.s_feature_ro_compat & each.bit) != 0, each.name);
    }
    add((super.s_feature_compat & stable_inodes) != 0, "stable_inodes");
    if (!names.empty()) {
        refuse_write(session,
                     fmt::format("its file system uses {}", names),
                     "change it in a running VM, or use --mode appliance");
    }
    if ((super.s_state & EXT2_ERROR_FS) != 0) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} cannot be changed: its file system is marked as having errors",
                                session.volume().name()),
                    "repair it first: export it as raw, e2fsck -f, import it again");
    }
    if (super.s_last_orphan != 0 || (super.s_feature_ro_compat & orphan_present) != 0) {
        refuse_write(session,
                     "files that were deleted while open still wait for their end",
                     "boot the machine once and shut it down, or run e2fsck on it");
    }
}

std::int64_t seconds_of(Time time)
{
    return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

struct Split {
    std::string parent;
    std::string name;
};

Split split_path(const std::string& path)
{
    std::string_view text = path;
    while (text.size() > 1 && text.ends_with('/')) {
        text.remove_suffix(1);
    }
    const auto slash = text.rfind('/');
    if (slash == std::string_view::npos) {
        return {.parent = "/", .name = std::string(text)};
    }
    return {.parent = slash == 0 ? "/" : std::string(text.substr(0, slash)),
            .name = std::string(text.substr(slash + 1))};
}

int entry_type(std::uint32_t mode)
{
    switch (kind_of(mode)) {
    case NodeKind::directory:
        return EXT2_FT_DIR;
    case NodeKind::symlink:
        return EXT2_FT_SYMLINK;
    case NodeKind::fifo:
        return EXT2_FT_FIFO;
    case NodeKind::socket:
        return EXT2_FT_SOCK;
    case NodeKind::char_device:
        return EXT2_FT_CHRDEV;
    case NodeKind::block_device:
        return EXT2_FT_BLKDEV;
    case NodeKind::file:
        break;
    }
    return EXT2_FT_REG_FILE;
}

} // namespace

struct Editor::Impl {
    struct Place {
        ext2_ino_t folder = 0;
        std::string name;
        std::optional<ext2_ino_t> present;
    };

    Impl(volume::Volume& volume, Time moment)
        : session(open_clean(volume)), tree(session.get()), folders(*session), now(moment)
    {
        expect_whole(*session);
        expect_writable_features(*session);
        session->fs()->now = seconds_of(now);
        session->check(::ext2fs_read_bitmaps(session->fs()), "read the bitmaps");
    }

    static std::unique_ptr<Session> open_clean(volume::Volume& volume)
    {
        auto session = std::make_unique<Session>(volume, EXT2_FLAG_RW);
        if (needs_replay(*session)) {
            const Replay replay = read_log(*session);
            session.reset();
            replay_onto(volume, replay);
            session = std::make_unique<Session>(volume, EXT2_FLAG_RW);
            session->fs()->super->s_feature_incompat &=
                ~static_cast<__u32>(EXT3_FEATURE_INCOMPAT_RECOVER);
            ::ext2fs_mark_super_dirty(session->fs());
        }
        return session;
    }

    [[nodiscard]] ext2_filsys fs() const { return session->fs(); }

    Place find(const std::string& path)
    {
        const Split parts = split_path(path);
        if (parts.name.empty() || parts.name == "." || parts.name == "..") {
            throw Error(ErrorCode::usage, fmt::format("not a file's name: {}", printable(path)));
        }
        const auto folder = session->resolve(parts.parent, true);
        if (!folder) {
            throw Error(ErrorCode::not_found,
                        fmt::format("there is no folder {} in the image", printable(parts.parent)));
        }
        const Inode inode = session->read_inode(*folder, parts.parent);
        if (kind_of(inode.i_mode) != NodeKind::directory) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} is not a folder", printable(parts.parent)));
        }
        Place place{.folder = *folder, .name = parts.name, .present = std::nullopt};
        const Directory& entries = session->directory(*folder, parts.parent);
        if (const auto found = entries.find(parts.name); found != entries.end()) {
            place.present = found->second.inode;
        }
        return place;
    }

    void set_time(__u32& base, __u32& extra, Time time) const
    {
        const std::int64_t seconds = seconds_of(time);
        const bool large = fs()->super->s_inode_size > EXT2_GOOD_OLD_INODE_SIZE;
        if (seconds > (large ? last_long_second : last_short_second) || seconds < -2147483648LL) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} cannot hold the time {}{}",
                                    session->volume().name(),
                                    format_time(time),
                                    large ? "" : ": its inodes have 128 bytes"));
        }
        base = static_cast<__u32>(seconds);
        const auto epoch =
            static_cast<std::uint64_t>(seconds - static_cast<std::int32_t>(base)) >> 32U;
        const auto micro =
            static_cast<std::uint64_t>(time.time_since_epoch().count() - seconds * 1'000'000);
        extra = static_cast<__u32>((micro * 1000) << 2U | (epoch & 3U));
    }

    void set_fields(Inode& inode, std::uint32_t format, const Attributes& attributes) const
    {
        inode.i_mode = static_cast<__u16>(format | (attributes.mode & 07777U));
        inode.i_uid = static_cast<__u16>(attributes.uid & 0xFFFFU);
        inode.osd2.linux2.l_i_uid_high = static_cast<__u16>(attributes.uid >> 16U);
        inode.i_gid = static_cast<__u16>(attributes.gid & 0xFFFFU);
        inode.osd2.linux2.l_i_gid_high = static_cast<__u16>(attributes.gid >> 16U);
        __u32 unused = 0;
        const bool large = inode.i_extra_isize >= 24;
        set_time(inode.i_mtime, large ? inode.i_mtime_extra : unused, attributes.modified);
        set_time(inode.i_ctime, large ? inode.i_ctime_extra : unused, now);
        set_time(inode.i_atime, large ? inode.i_atime_extra : unused, now);
    }

    [[nodiscard]] Inode fresh_inode(std::uint32_t format, const Attributes& attributes) const
    {
        Inode inode{};
        const auto& super = *fs()->super;
        if (super.s_inode_size > EXT2_GOOD_OLD_INODE_SIZE) {
            const auto room =
                static_cast<__u16>(std::min<std::size_t>(super.s_inode_size, sizeof(Inode)) -
                                   EXT2_GOOD_OLD_INODE_SIZE);
            inode.i_extra_isize =
                super.s_want_extra_isize != 0 ? std::min(super.s_want_extra_isize, room) : room;
        }
        set_fields(inode, format, attributes);
        if (inode.i_extra_isize >= 24) {
            set_time(inode.i_crtime, inode.i_crtime_extra, now);
        }
        inode.i_links_count = 1;
        return inode;
    }

    /// All bytes of the inode on disk, so that nothing of an earlier owner stays.
    void write_fresh(ext2_ino_t number, const Inode& inode)
    {
        std::string bytes(std::max<std::size_t>(fs()->super->s_inode_size, sizeof inode), '\0');
        std::memcpy(bytes.data(), &inode, sizeof inode);
        session->check(::ext2fs_write_inode_full(fs(),
                                                 number,
                                                 reinterpret_cast<ext2_inode*>(bytes.data()),
                                                 EXT2_INODE_SIZE(fs()->super)),
                       "write an inode");
    }

    void write_inode(ext2_ino_t number, Inode& inode)
    {
        session->check(::ext2fs_write_inode_full(fs(), number, small_part(inode), sizeof inode),
                       "write an inode");
    }

    ext2_ino_t allocate(ext2_ino_t folder, std::uint32_t mode)
    {
        ext2_ino_t number = 0;
        session->check(::ext2fs_new_inode(fs(), folder, static_cast<int>(mode), nullptr, &number),
                       "find a free inode");
        ::ext2fs_inode_alloc_stats2(fs(), number, +1, 0);
        return number;
    }

    void set_xattrs(ext2_ino_t number, const std::map<std::string, std::string>& wanted)
    {
        ext2_xattr_handle* handle = nullptr;
        session->check(::ext2fs_xattrs_open(fs(), number, &handle), "open extended attributes");
        const std::unique_ptr<ext2_xattr_handle, void (*)(ext2_xattr_handle*)> owner(
            handle, [](ext2_xattr_handle* each) { ::ext2fs_xattrs_close(&each); });
        session->check(::ext2fs_xattrs_read(handle), "read extended attributes");
        for (const auto& [name, value] : session->extended_attributes(number, "")) {
            if (!wanted.contains(name)) {
                session->check(::ext2fs_xattr_remove(handle, name.c_str()),
                               "remove an extended attribute");
            }
        }
        for (const auto& [name, value] : wanted) {
            session->check(::ext2fs_xattr_set(handle, name.c_str(), value.data(), value.size()),
                           fmt::format("set the extended attribute {}", printable(name)));
        }
    }

    /// Gives the blocks of a new file: contiguous where there is room.
    void
    fill(ext2_ino_t number, std::uint64_t size, const std::string& path, const Content& content)
    {
        const std::uint64_t block = session->block_size();
        const std::uint64_t blocks = (size + block - 1) / block;
        if (blocks > 0) {
            session->check(
                ::ext2fs_fallocate(fs(),
                                   EXT2_FALLOCATE_FORCE_INIT | EXT2_FALLOCATE_INIT_BEYOND_EOF,
                                   number,
                                   nullptr,
                                   ~0ULL,
                                   0,
                                   blocks),
                fmt::format("write {}", printable(path)));
        }
        Inode inode = session->read_inode(number, path);
        session->check(
            ::ext2fs_inode_size_set(fs(), small_part(inode), static_cast<ext2_off64_t>(size)),
            fmt::format("write {}", printable(path)));
        write_inode(number, inode);
        FileWriter writer{*this, session->runs(number, inode, path), size, path};
        content([&](std::string_view part) { writer.add(part); });
        writer.finish();
    }

    /// Puts a stream of bytes on the blocks that were given to a file.
    struct FileWriter {
        Impl& impl;
        std::vector<Run> runs;
        std::uint64_t size;
        const std::string& path;
        std::size_t run = 0;
        std::uint64_t within = 0; ///< bytes of the run
        std::uint64_t done = 0;

        void put(std::string_view part)
        {
            const std::uint64_t block = impl.session->block_size();
            while (!part.empty()) {
                if (run >= runs.size()) {
                    throw Error(ErrorCode::io, fmt::format("{}: too few blocks", printable(path)));
                }
                const std::uint64_t room = runs[run].count * block - within;
                const auto count =
                    static_cast<std::size_t>(std::min<std::uint64_t>(room, part.size()));
                impl.session->volume().write(runs[run].physical * block + within,
                                             std::as_bytes(std::span(part.substr(0, count))));
                part.remove_prefix(count);
                within += count;
                if (within == runs[run].count * block) {
                    ++run;
                    within = 0;
                }
            }
        }
        void add(std::string_view part)
        {
            if (part.size() > size - done) {
                throw Error(
                    ErrorCode::conflict,
                    fmt::format("{} is longer than announced ({} bytes)", printable(path), size));
            }
            put(part);
            done += part.size();
        }
        void finish()
        {
            if (done != size) {
                throw Error(ErrorCode::conflict,
                            fmt::format("{} is shorter than announced ({} of {} bytes)",
                                        printable(path),
                                        done,
                                        size));
            }
            const std::uint64_t block = impl.session->block_size();
            put(std::string((block - size % block) % block, '\0'));
        }
    };

    void touch_folder(ext2_ino_t folder)
    {
        Inode inode = session->read_inode(folder, "a folder");
        __u32 unused = 0;
        const bool large = inode.i_extra_isize >= 24;
        set_time(inode.i_mtime, large ? inode.i_mtime_extra : unused, now);
        set_time(inode.i_ctime, large ? inode.i_ctime_extra : unused, now);
        write_inode(folder, inode);
    }

    /// Lets `place` lead to a new inode; what it led to before loses one name.
    void enter(const Place& place, ext2_ino_t number, int type)
    {
        if (place.present) {
            folders.change(place.folder, place.name, number, type);
        } else {
            folders.add(place.folder, place.name, number, type);
        }
        if (Directory* known = session->known_directory(place.folder)) {
            (*known)[place.name] = {.inode = number, .type = type};
        }
        touch_folder(place.folder);
        if (place.present) {
            drop_link(*place.present);
        }
    }

    void drop_link(ext2_ino_t number)
    {
        Inode inode = session->read_inode(number, "a replaced file");
        if (inode.i_links_count > 1) {
            --inode.i_links_count;
            __u32 unused = 0;
            set_time(inode.i_ctime, inode.i_extra_isize >= 24 ? inode.i_ctime_extra : unused, now);
            write_inode(number, inode);
            return;
        }
        release(number, inode);
    }

    void release(ext2_ino_t number, Inode& inode)
    {
        const bool folder = kind_of(inode.i_mode) == NodeKind::directory;
        session->check(::ext2fs_free_ext_attr(fs(), number, &inode), "free extended attributes");
        if (::ext2fs_inode_has_valid_blocks2(fs(), small_part(inode)) != 0) {
            session->check(::ext2fs_punch(fs(), number, small_part(inode), nullptr, 0, ~0ULL),
                           "free a file's blocks");
        }
        write_fresh(number, Inode{});
        ::ext2fs_inode_alloc_stats2(fs(), number, -1, folder ? 1 : 0);
        session->forget_directory(number);
        folders.forget(number);
    }

    Place place_for(const std::string& path)
    {
        Place place = find(path);
        if (place.present) {
            const Inode inode = session->read_inode(*place.present, path);
            if (kind_of(inode.i_mode) == NodeKind::directory) {
                throw Error(ErrorCode::usage,
                            fmt::format("{} is a folder in the image", printable(path)));
            }
            expect_changeable(inode, path);
        }
        return place;
    }

    static void expect_changeable(const Inode& inode, const std::string& path)
    {
        if ((inode.i_flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL)) != 0) {
            throw Error(
                ErrorCode::usage,
                fmt::format("{} is marked immutable or append-only in the image", printable(path)),
                "chattr -i -a it in a running VM first");
        }
    }

    std::unique_ptr<Session> session;
    SessionTree tree;
    FolderWriter folders;
    Time now;
};

Editor::Editor(volume::Volume& volume, Time now) : impl_(std::make_unique<Impl>(volume, now)) {}

Editor::~Editor() = default;

volume::Filesystem& Editor::tree() noexcept
{
    return impl_->tree;
}

void Editor::put_file(const std::string& path,
                      const Attributes& attributes,
                      std::uint64_t size,
                      const Content& content)
{
    const auto place = impl_->place_for(path);
    if (size > free_bytes()) {
        throw Error(ErrorCode::io,
                    fmt::format("no room in the image for {} ({}; {} are free)",
                                printable(path),
                                human_size(size),
                                human_size(free_bytes())),
                    "make the disk and its file system larger, or remove something");
    }
    Inode inode = impl_->fresh_inode(S_IFREG, attributes);
    const auto number = impl_->allocate(place.folder, S_IFREG);
    if (::ext2fs_has_feature_extents(impl_->fs()->super) != 0) {
        inode.i_flags |= EXT4_EXTENTS_FL;
    }
    impl_->write_fresh(number, inode);
    if ((inode.i_flags & EXT4_EXTENTS_FL) != 0) {
        ext2_extent_handle_t handle = nullptr; // opening an empty map makes its root
        impl_->session->check(
            ::ext2fs_extent_open2(impl_->fs(), number, small_part(inode), &handle), "make a file");
        ::ext2fs_extent_free(handle);
        impl_->write_fresh(number, inode);
    }
    impl_->fill(number, size, path, content);
    if (!attributes.xattrs.empty()) {
        impl_->set_xattrs(number, attributes.xattrs);
    }
    impl_->enter(place, number, EXT2_FT_REG_FILE);
}

void Editor::put_file(const std::string& path,
                      const Attributes& attributes,
                      std::string_view content)
{
    put_file(path, attributes, content.size(), [&](const auto& sink) { sink(content); });
}

bool Editor::put_folder(const std::string& path, const Attributes& attributes)
{
    if (const auto there = impl_->session->resolve(path, true)) {
        const Inode inode = impl_->session->read_inode(*there, path);
        if (kind_of(inode.i_mode) == NodeKind::directory) {
            return false;
        }
    }
    const auto place = impl_->find(path);
    if (place.present) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} is in the image already, and is no folder", printable(path)));
    }
    ext2_ino_t number = 0;
    impl_->session->check(
        ::ext2fs_new_inode(impl_->fs(), place.folder, LINUX_S_IFDIR, nullptr, &number),
        "find a free inode");
    impl_->session->check(::ext2fs_mkdir(impl_->fs(), place.folder, number, nullptr),
                          fmt::format("make the folder {}", printable(path)));
    impl_->enter(place, number, EXT2_FT_DIR);
    Inode inode = impl_->session->read_inode(number, path);
    const Inode fresh = impl_->fresh_inode(S_IFDIR, attributes);
    inode.i_extra_isize = fresh.i_extra_isize;
    inode.i_crtime = fresh.i_crtime;
    inode.i_crtime_extra = fresh.i_crtime_extra;
    impl_->set_fields(inode, S_IFDIR, attributes);
    impl_->write_inode(number, inode);
    if (!attributes.xattrs.empty()) {
        impl_->set_xattrs(number, attributes.xattrs);
    }
    return true;
}

void Editor::put_symlink(const std::string& path,
                         const Attributes& attributes,
                         const std::string& target)
{
    if (target.empty() || target.size() >= impl_->session->block_size() || target.size() > 4095 ||
        target.find('\0') != std::string::npos) {
        throw Error(ErrorCode::usage,
                    fmt::format("{}: not a possible target of a symbolic link", printable(path)));
    }
    Inode inode = impl_->fresh_inode(S_IFLNK, attributes);
    inode.i_mode = S_IFLNK | 0777;
    if (target.size() < sizeof inode.i_block) {
        const auto place = impl_->place_for(path);
        const auto number = impl_->allocate(place.folder, S_IFLNK);
        std::memcpy(inode.i_block, target.data(), target.size());
        inode.i_size = static_cast<__u32>(target.size());
        impl_->write_fresh(number, inode);
        impl_->enter(place, number, EXT2_FT_SYMLINK);
        return;
    }
    // A long target lies in a block, as a file's content would.
    put_file(path, attributes, target);
    const auto place = impl_->find(path);
    Inode made = impl_->session->read_inode(*place.present, path);
    made.i_mode = S_IFLNK | 0777;
    impl_->write_inode(*place.present, made);
    impl_->folders.change(place.folder, place.name, *place.present, EXT2_FT_SYMLINK);
    impl_->session->forget_directory(place.folder);
}

void Editor::put_fifo(const std::string& path, const Attributes& attributes)
{
    const auto place = impl_->place_for(path);
    const auto number = impl_->allocate(place.folder, S_IFIFO);
    impl_->write_fresh(number, impl_->fresh_inode(S_IFIFO, attributes));
    impl_->enter(place, number, EXT2_FT_FIFO);
}

void Editor::put_device(const std::string& path,
                        const Attributes& attributes,
                        bool block,
                        std::uint32_t major,
                        std::uint32_t minor)
{
    const auto place = impl_->place_for(path);
    const std::uint32_t format = block ? S_IFBLK : S_IFCHR;
    const auto number = impl_->allocate(place.folder, format);
    Inode inode = impl_->fresh_inode(format, attributes);
    if (major < 256 && minor < 256) {
        inode.i_block[0] = major * 256 + minor;
    } else {
        inode.i_block[1] = (minor & 0xFFU) | (major << 8U) | ((minor & ~0xFFU) << 12U);
    }
    impl_->write_fresh(number, inode);
    impl_->enter(place, number, block ? EXT2_FT_BLKDEV : EXT2_FT_CHRDEV);
}

void Editor::put_hard_link(const std::string& existing, const std::string& path)
{
    const auto from = impl_->find(existing);
    if (!from.present) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image to link to", printable(existing)));
    }
    const auto place = impl_->place_for(path);
    if (place.present == from.present) {
        return;
    }
    Inode inode = impl_->session->read_inode(*from.present, existing);
    if (kind_of(inode.i_mode) == NodeKind::directory || inode.i_links_count >= 65000) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} cannot get another name", printable(existing)));
    }
    ++inode.i_links_count;
    impl_->write_inode(*from.present, inode);
    impl_->enter(place, *from.present, entry_type(inode.i_mode));
}

void Editor::set_attributes(const std::string& path, const Attributes& attributes)
{
    const auto number = impl_->session->resolve(path, false);
    if (!number) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image", printable(path)));
    }
    Inode inode = impl_->session->read_inode(*number, path);
    Impl::expect_changeable(inode, path);
    impl_->set_fields(inode, inode.i_mode & S_IFMT, attributes);
    impl_->write_inode(*number, inode);
    impl_->set_xattrs(*number, attributes.xattrs);
}

void Editor::remove(const std::string& path)
{
    const auto place = impl_->place_for(path);
    if (!place.present) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image", printable(path)));
    }
    impl_->folders.remove(place.folder, place.name);
    if (Directory* known = impl_->session->known_directory(place.folder)) {
        known->erase(place.name);
    }
    impl_->touch_folder(place.folder);
    impl_->drop_link(*place.present);
}

bool Editor::remove_folder(const std::string& path)
{
    const auto place = impl_->find(path);
    if (!place.present) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image", printable(path)));
    }
    Inode inode = impl_->session->read_inode(*place.present, path);
    if (kind_of(inode.i_mode) != NodeKind::directory) {
        throw Error(ErrorCode::usage, fmt::format("{} is not a folder", printable(path)));
    }
    if (!impl_->session->directory(*place.present, path).empty()) {
        return false;
    }
    impl_->folders.remove(place.folder, place.name);
    if (Directory* known = impl_->session->known_directory(place.folder)) {
        known->erase(place.name);
    }
    impl_->release(*place.present, inode);
    Inode parent = impl_->session->read_inode(place.folder, "a folder");
    if (parent.i_links_count > 2) {
        --parent.i_links_count;
        impl_->write_inode(place.folder, parent);
    }
    impl_->touch_folder(place.folder);
    return true;
}

std::uint64_t Editor::free_bytes() const
{
    return ::ext2fs_free_blocks_count(impl_->fs()->super) *
           std::uint64_t{impl_->session->block_size()};
}

void Editor::finish()
{
    impl_->session->close(true);
    impl_->session->volume().flush();
}

Time last_written(volume::Volume& volume)
{
    Session session(volume, 0);
    const auto& super = *session.fs()->super;
    const std::int64_t seconds =
        super.s_wtime | (static_cast<std::int64_t>(super.s_wtime_hi) << 32U);
    return Time(std::chrono::seconds(seconds));
}

} // namespace stemma::ext
