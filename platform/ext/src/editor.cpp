#include "stemma/ext/editor.hpp"

#include "stemma/core/text.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "editable.hpp"
#include "editor_impl.hpp"
#include "journal.hpp"

namespace stemma::ext {

namespace {

using volume::NodeKind;

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

Editor::Impl::Impl(volume::Volume& volume, Time moment)
    : session(open_clean(volume)), tree(session.get()), folders(*session), now(moment)
{
    expect_whole(*session);
    expect_writable_features(*session);
    session->fs()->now = seconds_of(now);
    session->check(::ext2fs_read_bitmaps(session->fs()), "read the bitmaps");
}

std::unique_ptr<Session> Editor::Impl::open_clean(volume::Volume& volume)
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
    impl_->leave(place);
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
    impl_->leave(place);
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
