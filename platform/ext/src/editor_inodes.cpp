#include "stemma/core/text.hpp"

#include <algorithm>
#include <cstring>

#include "editor_impl.hpp"

namespace stemma::ext {

namespace {

using volume::NodeKind;

constexpr std::int64_t last_short_second = 2147483647; ///< 2038, where 128-byte inodes end
constexpr std::int64_t last_long_second = 15032385535; ///< 2446, where two more bits end

} // namespace

std::int64_t seconds_of(Time time)
{
    return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

void Editor::Impl::set_time(__u32& base, __u32& extra, Time time) const
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
    const auto epoch = static_cast<std::uint64_t>(seconds - static_cast<std::int32_t>(base)) >> 32U;
    const auto micro =
        static_cast<std::uint64_t>(time.time_since_epoch().count() - seconds * 1'000'000);
    extra = static_cast<__u32>((micro * 1000) << 2U | (epoch & 3U));
}

void Editor::Impl::set_fields(Inode& inode,
                              std::uint32_t format,
                              const Attributes& attributes) const
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

Inode Editor::Impl::fresh_inode(std::uint32_t format, const Attributes& attributes) const
{
    Inode inode{};
    const auto& super = *fs()->super;
    if (super.s_inode_size > EXT2_GOOD_OLD_INODE_SIZE) {
        const auto room = static_cast<__u16>(
            std::min<std::size_t>(super.s_inode_size, sizeof(Inode)) - EXT2_GOOD_OLD_INODE_SIZE);
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

void Editor::Impl::write_fresh(ext2_ino_t number, const Inode& inode)
{
    std::string bytes(std::max<std::size_t>(fs()->super->s_inode_size, sizeof inode), '\0');
    std::memcpy(bytes.data(), &inode, sizeof inode);
    session->check(::ext2fs_write_inode_full(fs(),
                                             number,
                                             reinterpret_cast<ext2_inode*>(bytes.data()),
                                             EXT2_INODE_SIZE(fs()->super)),
                   "write an inode");
}

void Editor::Impl::write_inode(ext2_ino_t number, Inode& inode)
{
    session->check(::ext2fs_write_inode_full(fs(), number, small_part(inode), sizeof inode),
                   "write an inode");
}

ext2_ino_t Editor::Impl::allocate(ext2_ino_t folder, std::uint32_t mode)
{
    ext2_ino_t number = 0;
    session->check(::ext2fs_new_inode(fs(), folder, static_cast<int>(mode), nullptr, &number),
                   "find a free inode");
    ::ext2fs_inode_alloc_stats2(fs(), number, +1, 0);
    return number;
}

void Editor::Impl::release(ext2_ino_t number, Inode& inode)
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

void Editor::Impl::set_xattrs(ext2_ino_t number, const std::map<std::string, std::string>& wanted)
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

} // namespace stemma::ext
