#include "stemma/core/bytes.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/ext/editor.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "session.hpp"

namespace stemma::ext {

namespace {

/// The numbers of all blocks that e2fsck looks at.
class MetadataBlocks {
public:
    explicit MetadataBlocks(Session& session) : session_(session), fs_(session.fs()) {}

    std::vector<blk64_t> collect()
    {
        blocks_.push_back(0); // block 0 holds the superblock, or lies before it
        for (dgrp_t group = 0; group < fs_->group_desc_count; ++group) {
            add_group(group);
        }
        add_inodes();
        std::sort(blocks_.begin(), blocks_.end());
        blocks_.erase(std::unique(blocks_.begin(), blocks_.end()), blocks_.end());
        const blk64_t end = ::ext2fs_blocks_count(fs_->super);
        blocks_.erase(std::lower_bound(blocks_.begin(), blocks_.end(), end), blocks_.end());
        return std::move(blocks_);
    }

private:
    void add_range(blk64_t first, std::uint64_t count)
    {
        for (std::uint64_t i = 0; i < count; ++i) {
            blocks_.push_back(first + i);
        }
    }

    void add_group(dgrp_t group)
    {
        blk64_t super = 0;
        blk64_t old_descriptors = 0;
        blk64_t new_descriptors = 0;
        blk_t used = 0;
        ::ext2fs_super_and_bgd_loc2(fs_, group, &super, &old_descriptors, &new_descriptors, &used);
        blocks_.push_back(super);
        if (old_descriptors != 0) {
            add_range(old_descriptors,
                      fs_->desc_blocks + std::uint64_t{fs_->super->s_reserved_gdt_blocks});
        }
        blocks_.push_back(new_descriptors);
        blocks_.push_back(::ext2fs_block_bitmap_loc(fs_, group));
        blocks_.push_back(::ext2fs_inode_bitmap_loc(fs_, group));
        std::uint64_t inodes = fs_->super->s_inodes_per_group;
        if (::ext2fs_has_group_desc_csum(fs_) != 0) {
            const bool unused = ::ext2fs_bg_flags_test(fs_, group, EXT2_BG_INODE_UNINIT) != 0;
            inodes -= unused
                          ? inodes
                          : std::min<std::uint64_t>(inodes, ::ext2fs_bg_itable_unused(fs_, group));
        }
        const std::uint64_t bytes = inodes * EXT2_INODE_SIZE(fs_->super);
        add_range(::ext2fs_inode_table_loc(fs_, group),
                  (bytes + fs_->blocksize - 1) / fs_->blocksize);
    }

    struct BlockSink {
        std::vector<blk64_t>* blocks;
        e2_blkcnt_t data_below; ///< data blocks with a smaller logical number count too
    };

    // NOLINTNEXTLINE(readability-function-size): libext2fs calls it with six
    static int take_block(ext2_filsys /*fs*/,
                          blk64_t* block,
                          e2_blkcnt_t logical,
                          blk64_t /*ref_block*/,
                          int /*ref_offset*/,
                          void* user) noexcept
    {
        auto& sink = *static_cast<BlockSink*>(user);
        if (logical < 0 || logical < sink.data_below) {
            try {
                sink.blocks->push_back(*block);
            } catch (...) {
                return BLOCK_ABORT;
            }
        }
        return 0;
    }

    void add_inode(ext2_ino_t number, Inode& inode)
    {
        const blk64_t acl = ::ext2fs_file_acl_block(fs_, small_part(inode));
        if (acl != 0) {
            blocks_.push_back(acl);
        }
        if (::ext2fs_inode_has_valid_blocks2(fs_, small_part(inode)) == 0) {
            return;
        }
        constexpr e2_blkcnt_t all = e2_blkcnt_t{1} << 48U;
        const bool all_matter = S_ISDIR(inode.i_mode) || S_ISLNK(inode.i_mode) ||
                                number == fs_->super->s_orphan_file_inum;
        BlockSink sink{.blocks = &blocks_, .data_below = all_matter ? all : 1};
        session_.check(
            ::ext2fs_block_iterate3(fs_, number, BLOCK_FLAG_READ_ONLY, nullptr, take_block, &sink),
            fmt::format("read the block map of inode {}", number));
    }

    void add_inodes()
    {
        ext2_inode_scan scan = nullptr;
        session_.check(::ext2fs_open_inode_scan(fs_, 0, &scan), "read the inodes");
        const std::unique_ptr<ext2_struct_inode_scan, void (*)(ext2_inode_scan)> owner(
            scan, ::ext2fs_close_inode_scan);
        for (;;) {
            ext2_ino_t number = 0;
            Inode inode{};
            session_.check(
                ::ext2fs_get_next_inode_full(scan, &number, small_part(inode), sizeof inode),
                "read the inodes");
            if (number == 0) {
                return;
            }
            if (inode.i_links_count != 0 || number < EXT2_FIRST_INODE(fs_->super)) {
                add_inode(number, inode);
            }
        }
    }

    Session& session_;
    ext2_filsys fs_;
    std::vector<blk64_t> blocks_;
};

Fd unnamed_file(const std::string& folder)
{
    const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return Fd(fd);
    }
    std::string name = folder + "/.check-XXXXXX"; // a file system without O_TMPFILE
    Fd named(::mkostemp(name.data(), O_CLOEXEC));
    if (!named) {
        throw system_error(errno, fmt::format("write to {}", folder));
    }
    ::unlink(name.c_str());
    return named;
}

void copy_blocks(Session& session, const std::vector<blk64_t>& blocks, int fd)
{
    constexpr std::size_t most = 256; // blocks in one go
    const std::uint64_t size = session.block_size();
    std::vector<std::byte> buffer;
    for (std::size_t i = 0; i < blocks.size();) {
        std::size_t count = 1;
        while (i + count < blocks.size() && count < most &&
               blocks[i + count] == blocks[i] + count) {
            ++count;
        }
        buffer.resize(count * size);
        session.volume().read(blocks[i] * size, buffer);
        std::size_t done = 0;
        while (done < buffer.size()) {
            const ssize_t put = ::pwrite(fd,
                                         buffer.data() + done,
                                         buffer.size() - done,
                                         static_cast<off_t>(blocks[i] * size + done));
            if (put < 0 && errno != EINTR) {
                throw system_error(errno, "write a copy of the file system's tables");
            }
            done += put > 0 ? static_cast<std::size_t>(put) : 0;
        }
        i += count;
    }
}

std::string checker()
{
    if (auto found = find_program("e2fsck")) {
        return *found;
    }
    for (const char* path : {"/usr/sbin/e2fsck", "/sbin/e2fsck"}) {
        if (::access(path, X_OK) == 0) {
            return path;
        }
    }
    throw Error(ErrorCode::not_found, "cannot run e2fsck: not found", "apt-get install e2fsprogs");
}

/// The copy, sparse and as large as the file system.
Fd copy_of_metadata(volume::Volume& volume, const std::string& folder)
{
    constexpr std::uint64_t most_in_memory = std::uint64_t{64} << 20U;
    Session session(volume, 0);
    const auto blocks = MetadataBlocks(session).collect();
    const bool small = blocks.size() * std::uint64_t{session.block_size()} <= most_in_memory;
    Fd copy(small ? ::memfd_create("metadata", MFD_CLOEXEC) : -1);
    if (!copy) {
        copy = unnamed_file(folder);
    }
    const std::uint64_t size =
        ::ext2fs_blocks_count(session.fs()->super) * std::uint64_t{session.block_size()};
    if (::ftruncate(copy.get(), static_cast<off_t>(size)) != 0) {
        throw system_error(errno, fmt::format("write to {}", folder));
    }
    copy_blocks(session, blocks, copy.get());
    return copy;
}

constexpr std::size_t most_words = std::size_t{64} << 10U;

/// A file that takes so much and no more: a damaged file system is worth a complaint per block.
Fd file_for_words()
{
    Fd words(::memfd_create("e2fsck-words", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!words || ::ftruncate(words.get(), static_cast<off_t>(most_words)) != 0 ||
        ::fcntl(words.get(), F_ADD_SEALS, F_SEAL_GROW) != 0) {
        throw system_error(errno, "keep what e2fsck says");
    }
    return words;
}

} // namespace

struct Check::Impl {
    std::string name; ///< of the volume
    Fd copy;
    Fd words;
    Child child;
};

Check::Check(volume::Volume& volume, const std::string& folder)
{
    const std::string program = checker();
    Fd copy = copy_of_metadata(volume, folder);
    Fd words = file_for_words();
    // The child opens the copy by our number, as it has no name.
    Child child({program, "-fn", fmt::format("/proc/{}/fd/{}", ::getpid(), copy.get())},
                {.out = words.get(), .err = words.get()},
                {},
                {{"LC_ALL", "C"}});
    impl_ = std::make_unique<Impl>(Impl{.name = volume.name(),
                                        .copy = std::move(copy),
                                        .words = std::move(words),
                                        .child = std::move(child)});
}

Check::~Check() = default;

void Check::finish()
{
    if (impl_->child.wait().success()) {
        return;
    }
    std::string said(most_words, '\0');
    read_at(impl_->words.get(), 0, std::as_writable_bytes(std::span(said)), "e2fsck's words");
    std::string shown;
    for (const std::string_view line : split_lines(said.c_str())) {
        if (!line.empty() && !line.starts_with("Pass ") && shown.size() < 1000) {
            shown += (shown.empty() ? "" : "; ") + printable(line);
        }
    }
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: e2fsck finds errors in the file system: {}", impl_->name, shown),
                "nothing was changed; if the image had them before, repair it first");
}

void check(volume::Volume& volume, const std::string& folder)
{
    Check(volume, folder).finish();
}

} // namespace stemma::ext
