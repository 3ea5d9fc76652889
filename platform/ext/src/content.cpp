#include "stemma/core/text.hpp"

#include <algorithm>
#include <memory>

#include "session.hpp"

namespace stemma::ext {

namespace {

constexpr std::size_t most_runs = std::size_t{1} << 22U;
constexpr std::size_t piece = std::size_t{1} << 20U;

struct ExtentCloser {
    void operator()(ext2_extent_handle* handle) const noexcept { ::ext2fs_extent_free(handle); }
};
using ExtentHandle = std::unique_ptr<ext2_extent_handle, ExtentCloser>;

struct XattrCloser {
    void operator()(ext2_xattr_handle* handle) const noexcept { ::ext2fs_xattrs_close(&handle); }
};
using XattrHandle = std::unique_ptr<ext2_xattr_handle, XattrCloser>;

/// Collects runs in order; refuses what a sound map cannot contain.
class RunCollector {
public:
    RunCollector(std::uint64_t blocks_of_fs, std::string path)
        : blocks_of_fs_(blocks_of_fs), path_(std::move(path))
    {
    }

    void add(Run run)
    {
        if (run.count == 0) {
            return;
        }
        const bool outside =
            run.physical >= blocks_of_fs_ || run.count > blocks_of_fs_ - run.physical;
        if (outside || run.logical < next_ || runs_.size() >= most_runs) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: its block map is damaged (logical block {})",
                                    printable(path_),
                                    run.logical));
        }
        next_ = run.logical + run.count;
        if (!runs_.empty() && runs_.back().logical + runs_.back().count == run.logical &&
            runs_.back().physical + runs_.back().count == run.physical) {
            runs_.back().count += run.count;
            return;
        }
        runs_.push_back(run);
    }
    [[nodiscard]] std::vector<Run> take() { return std::move(runs_); }

private:
    std::uint64_t blocks_of_fs_;
    std::string path_;
    std::uint64_t next_ = 0;
    std::vector<Run> runs_;
};

struct BlockSink {
    RunCollector* collector = nullptr;
    std::exception_ptr failure = nullptr;
};

// NOLINTNEXTLINE(readability-function-size): libext2fs calls it with six
int take_block(ext2_filsys /*fs*/,
               blk64_t* block,
               e2_blkcnt_t logical,
               blk64_t /*ref_block*/,
               int /*ref_offset*/,
               void* user) noexcept
{
    auto& sink = *static_cast<BlockSink*>(user);
    if (logical < 0 || *block == 0) {
        return 0;
    }
    try {
        sink.collector->add(
            {.logical = static_cast<std::uint64_t>(logical), .physical = *block, .count = 1});
        return 0;
    } catch (...) {
        sink.failure = std::current_exception();
        return BLOCK_ABORT;
    }
}

bool is_end(errcode_t code) noexcept
{
    return code == EXT2_ET_EXTENT_NO_NEXT || code == EXT2_ET_EXTENT_NOT_FOUND ||
           code == EXT2_ET_EXTENT_NO_DOWN;
}

/// Gives content piece by piece; false when the sink has had enough.
class PieceGiver {
public:
    explicit PieceGiver(const std::function<bool(std::string_view)>& sink) : sink_(sink) {}
    bool zeros(std::uint64_t count)
    {
        if (count > 0 && zeros_.empty()) {
            zeros_.resize(piece, '\0');
        }
        while (count > 0) {
            const std::size_t now = static_cast<std::size_t>(std::min<std::uint64_t>(count, piece));
            if (!sink_(std::string_view(zeros_).substr(0, now))) {
                return false;
            }
            count -= now;
        }
        return true;
    }
    bool stored(volume::Volume& volume, std::uint64_t offset, std::uint64_t count)
    {
        while (count > 0) {
            const std::size_t now = static_cast<std::size_t>(std::min<std::uint64_t>(count, piece));
            buffer_.resize(now);
            volume.read(offset, std::as_writable_bytes(std::span(buffer_.data(), now)));
            if (!sink_(buffer_)) {
                return false;
            }
            offset += now;
            count -= now;
        }
        return true;
    }

private:
    const std::function<bool(std::string_view)>& sink_;
    std::string zeros_;
    std::string buffer_;
};

} // namespace

std::vector<Run> Session::runs(ext2_ino_t number, const Inode& inode, const std::string& path)
{
    RunCollector collector(::ext2fs_blocks_count(fs_->super), path);
    Inode copy = inode;
    const std::string what = fmt::format("read the block map of {}", printable(path));
    if ((inode.i_flags & EXT4_EXTENTS_FL) == 0) {
        BlockSink sink{.collector = &collector};
        const errcode_t code = ::ext2fs_block_iterate3(
            fs_, number, BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY, nullptr, take_block, &sink);
        if (sink.failure != nullptr) {
            std::rethrow_exception(sink.failure);
        }
        check(code, what);
        return collector.take();
    }
    ext2_extent_handle_t raw = nullptr;
    check(::ext2fs_extent_open2(fs_, number, small_part(copy), &raw), what);
    const ExtentHandle handle(raw);
    ext2fs_extent extent{};
    errcode_t code = ::ext2fs_extent_get(raw, EXT2_EXTENT_ROOT, &extent);
    while (code == 0) {
        const bool leaf = (extent.e_flags & EXT2_EXTENT_FLAGS_LEAF) != 0;
        const bool unwritten = (extent.e_flags & EXT2_EXTENT_FLAGS_UNINIT) != 0;
        if (leaf && !unwritten) {
            collector.add(
                {.logical = extent.e_lblk, .physical = extent.e_pblk, .count = extent.e_len});
        }
        code = ::ext2fs_extent_get(raw, EXT2_EXTENT_NEXT_LEAF, &extent);
    }
    check(is_end(code) ? 0 : code, what);
    return collector.take();
}

void Session::read_content(ext2_ino_t number,
                           const Inode& inode,
                           const std::string& path,
                           const std::function<bool(std::string_view)>& sink)
{
    const std::uint64_t size = size_of(inode);
    if ((inode.i_flags & EXT4_ENCRYPT_FL) != 0) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{} is encrypted by its file system", printable(path)));
    }
    if ((inode.i_flags & EXT4_INLINE_DATA_FL) != 0) {
        Inode copy = inode;
        std::string text(fs_->blocksize, '\0');
        std::size_t length = text.size();
        check(::ext2fs_inline_data_get(fs_, number, small_part(copy), text.data(), &length),
              fmt::format("read {}", printable(path)));
        text.resize(static_cast<std::size_t>(std::min<std::uint64_t>(length, size)));
        sink(text);
        return;
    }
    const std::uint64_t block = fs_->blocksize;
    PieceGiver giver(sink);
    std::uint64_t done = 0;
    for (const Run& run : runs(number, inode, path)) {
        const std::uint64_t start = run.logical * block;
        if (start >= size) {
            break;
        }
        if (start > done && !giver.zeros(start - done)) {
            return;
        }
        const std::uint64_t length = std::min(run.count * block, size - start);
        if (!giver.stored(volume(), run.physical * block, length)) {
            return;
        }
        done = start + length;
    }
    giver.zeros(size - done);
}

std::string Session::link_target(ext2_ino_t number, const Inode& inode, const std::string& path)
{
    constexpr std::uint64_t most = 4096;
    const std::uint64_t size = size_of(inode);
    if (size > most) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: a symbolic link of {} bytes", printable(path), size));
    }
    Inode copy = inode;
    if (::ext2fs_is_fast_symlink(small_part(copy)) != 0 &&
        (inode.i_flags & EXT4_INLINE_DATA_FL) == 0) {
        return {reinterpret_cast<const char*>(copy.i_block), static_cast<std::size_t>(size)};
    }
    std::string target;
    read_content(number, inode, path, [&](std::string_view part) {
        target += part;
        return true;
    });
    return target;
}

std::map<std::string, std::string> Session::extended_attributes(ext2_ino_t number,
                                                                const std::string& path)
{
    const std::string what = fmt::format("read the extended attributes of {}", printable(path));
    ext2_xattr_handle* raw = nullptr;
    check(::ext2fs_xattrs_open(fs_, number, &raw), what);
    const XattrHandle handle(raw);
    check(::ext2fs_xattrs_read(raw), what);
    std::map<std::string, std::string> all;
    const errcode_t code = ::ext2fs_xattrs_iterate(
        raw,
        [](char* name, char* value, size_t length, void* user) -> int {
            try {
                static_cast<std::map<std::string, std::string>*>(user)->emplace(
                    name, std::string(value, length));
                return 0;
            } catch (...) {
                return XATTR_ABORT;
            }
        },
        &all);
    check(code, what);
    return all;
}

} // namespace stemma::ext
