#include "folders.hpp"

#include "stemma/core/text.hpp"

#include <cstring>

namespace stemma::ext {

namespace {

constexpr std::size_t tail_size = 12; ///< of a folder's block under metadata_csum

ext2_dir_entry* entry_at(std::string& block, std::size_t at) noexcept
{
    return reinterpret_cast<ext2_dir_entry*>(block.data() + at);
}

/// Bytes that an entry with a name of so many bytes needs.
std::size_t record_length(std::size_t name_length) noexcept
{
    return EXT2_DIR_REC_LEN(static_cast<__u8>(name_length));
}

bool has_checksums(ext2_filsys fs) noexcept
{
    return ::ext2fs_has_feature_metadata_csum(fs->super) != 0;
}

} // namespace

std::size_t FolderWriter::usable() const
{
    return session_.block_size() - (has_checksums(session_.fs()) ? tail_size : 0);
}

std::uint64_t FolderWriter::block_count(ext2_ino_t folder)
{
    return size_of(session_.read_inode(folder, "a folder")) / session_.block_size();
}

blk64_t FolderWriter::physical(ext2_ino_t folder, std::uint64_t logical)
{
    blk64_t block = 0;
    session_.check(
        ::ext2fs_bmap2(session_.fs(), folder, nullptr, nullptr, 0, logical, nullptr, &block),
        "read a folder's block map");
    if (block == 0) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: the folder with inode {} has a hole",
                                session_.volume().name(),
                                folder));
    }
    return block;
}

void FolderWriter::load(ext2_ino_t folder, std::uint64_t logical, std::string& block)
{
    block.resize(session_.block_size());
    session_.check(
        ::ext2fs_read_dir_block4(session_.fs(), physical(folder, logical), block.data(), 0, folder),
        "read a folder");
}

void FolderWriter::store(ext2_ino_t folder, std::uint64_t logical, std::string& block)
{
    session_.check(::ext2fs_write_dir_block4(
                       session_.fs(), physical(folder, logical), block.data(), 0, folder),
                   "write a folder");
}

/// An index (htree) cannot be kept by us: the folder becomes a plain list, which every kernel
/// reads. With checksums, blocks of the index have no room for the plain kind's checksum; it is
/// made.
void FolderWriter::drop_index(ext2_ino_t folder)
{
    Inode inode = session_.read_inode(folder, "a folder");
    if ((inode.i_flags & EXT2_INDEX_FL) == 0) {
        return;
    }
    if (has_checksums(session_.fs())) {
        const std::uint64_t count = block_count(folder);
        const auto size = session_.block_size();
        std::string block;
        for (std::uint64_t logical = 0; logical < count; ++logical) {
            load(folder, logical, block);
            const std::size_t at = logical == 0 ? EXT2_DIR_REC_LEN(1) : 0;
            ext2_dir_entry* entry = entry_at(block, at);
            unsigned length = 0;
            ::ext2fs_get_rec_len(session_.fs(), entry, &length);
            const bool index_block = at + length == size && (logical == 0 || entry->inode == 0);
            if (!index_block) {
                continue;
            }
            ::ext2fs_set_rec_len(
                session_.fs(), static_cast<unsigned>(size - at - tail_size), entry);
            ::ext2fs_initialize_dirent_tail(
                session_.fs(),
                reinterpret_cast<ext2_dir_entry_tail*>(block.data() + size - tail_size));
            store(folder, logical, block);
        }
    }
    inode.i_flags &= ~static_cast<__u32>(EXT2_INDEX_FL);
    session_.check(
        ::ext2fs_write_inode_full(session_.fs(), folder, small_part(inode), sizeof inode),
        "write a folder's inode");
}

bool FolderWriter::insert(std::string& block, const std::string& name, ext2_ino_t target, int type)
{
    const std::size_t needed = record_length(name.size());
    std::size_t at = 0;
    while (at + 8 <= usable()) {
        ext2_dir_entry* entry = entry_at(block, at);
        unsigned length = 0;
        session_.check(::ext2fs_get_rec_len(session_.fs(), entry, &length), "read a folder");
        if (length < 8 || at + length > usable()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: a folder's block is damaged", session_.volume().name()));
        }
        const std::size_t used =
            entry->inode == 0
                ? 0
                : record_length(static_cast<std::size_t>(::ext2fs_dirent_name_len(entry)));
        if (length >= used + needed) {
            if (used != 0) {
                ::ext2fs_set_rec_len(session_.fs(), static_cast<unsigned>(used), entry);
                entry = entry_at(block, at + used);
                std::memset(entry, 0, 8);
                ::ext2fs_set_rec_len(session_.fs(), static_cast<unsigned>(length - used), entry);
            }
            entry->inode = target;
            ::ext2fs_dirent_set_name_len(entry, static_cast<int>(name.size()));
            ::ext2fs_dirent_set_file_type(
                entry, ::ext2fs_has_feature_filetype(session_.fs()->super) != 0 ? type : 0);
            std::memset(entry->name, 0, needed - 8); // no leftovers: same calls, same bytes
            std::memcpy(entry->name, name.data(), name.size());
            return true;
        }
        at += length;
    }
    return false;
}

void FolderWriter::add(ext2_ino_t folder, const std::string& name, ext2_ino_t target, int type)
{
    if (name.empty() || name.size() > EXT2_NAME_LEN) {
        throw Error(ErrorCode::usage,
                    fmt::format("a file name of {} bytes; at most 255 are possible", name.size()));
    }
    drop_index(folder);
    std::string block;
    std::uint64_t& hint = first_with_room_[folder];
    const std::uint64_t count = block_count(folder);
    for (std::uint64_t logical = hint; logical < count; ++logical) {
        load(folder, logical, block);
        if (insert(block, name, target, type)) {
            store(folder, logical, block);
            hint = logical;
            return;
        }
    }
    session_.check(::ext2fs_expand_dir(session_.fs(), folder), "enlarge a folder");
    hint = count;
    load(folder, count, block);
    insert(block, name, target, type);
    store(folder, count, block);
}

template <typename Act>
void FolderWriter::with_entry(ext2_ino_t folder, const std::string& name, Act&& act)
{
    const std::uint64_t count = block_count(folder);
    std::string block;
    for (std::uint64_t logical = 0; logical < count; ++logical) {
        load(folder, logical, block);
        ext2_dir_entry* before = nullptr;
        std::size_t at = 0;
        while (at + 8 <= session_.block_size()) {
            ext2_dir_entry* entry = entry_at(block, at);
            unsigned length = 0;
            session_.check(::ext2fs_get_rec_len(session_.fs(), entry, &length), "read a folder");
            if (length < 8 || at + length > session_.block_size()) {
                break;
            }
            const auto name_length = static_cast<std::size_t>(::ext2fs_dirent_name_len(entry));
            if (entry->inode != 0 && name_length == name.size() &&
                std::memcmp(entry->name, name.data(), name.size()) == 0) {
                act(before, entry);
                store(folder, logical, block);
                return;
            }
            before = entry;
            at += length;
        }
    }
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: the name {} vanished from its folder",
                            session_.volume().name(),
                            printable(name)));
}

void FolderWriter::change(ext2_ino_t folder, const std::string& name, ext2_ino_t target, int type)
{
    with_entry(folder, name, [&](ext2_dir_entry* /*before*/, ext2_dir_entry* entry) {
        entry->inode = target;
        ::ext2fs_dirent_set_file_type(
            entry, ::ext2fs_has_feature_filetype(session_.fs()->super) != 0 ? type : 0);
    });
}

void FolderWriter::remove(ext2_ino_t folder, const std::string& name)
{
    with_entry(folder, name, [&](ext2_dir_entry* before, ext2_dir_entry* entry) {
        if (before == nullptr) {
            entry->inode = 0;
            return;
        }
        unsigned mine = 0;
        unsigned theirs = 0;
        ::ext2fs_get_rec_len(session_.fs(), entry, &mine);
        ::ext2fs_get_rec_len(session_.fs(), before, &theirs);
        ::ext2fs_set_rec_len(session_.fs(), mine + theirs, before);
    });
    first_with_room_.erase(folder);
}

void FolderWriter::forget(ext2_ino_t folder)
{
    first_with_room_.erase(folder);
}

} // namespace stemma::ext
