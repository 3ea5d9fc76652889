#include "stemma/core/text.hpp"

#include <algorithm>

#include "editor_impl.hpp"

namespace stemma::ext {

namespace {

/// Puts a stream of bytes on the blocks that were given to a file.
class FileWriter {
public:
    FileWriter(Session& session, std::vector<Run> runs, std::uint64_t size, std::string path)
        : session_(session), runs_(std::move(runs)), size_(size), path_(std::move(path))
    {
    }

    void put(std::string_view part)
    {
        const std::uint64_t block = session_.block_size();
        while (!part.empty()) {
            if (run_ >= runs_.size()) {
                throw Error(ErrorCode::io, fmt::format("{}: too few blocks", printable(path_)));
            }
            const std::uint64_t room = runs_[run_].count * block - within_;
            const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(room, part.size()));
            session_.volume().write(runs_[run_].physical * block + within_,
                                    std::as_bytes(std::span(part.substr(0, count))));
            part.remove_prefix(count);
            within_ += count;
            if (within_ == runs_[run_].count * block) {
                ++run_;
                within_ = 0;
            }
        }
    }
    void add(std::string_view part)
    {
        if (part.size() > size_ - done_) {
            throw Error(
                ErrorCode::conflict,
                fmt::format("{} is longer than announced ({} bytes)", printable(path_), size_));
        }
        put(part);
        done_ += part.size();
    }
    void finish()
    {
        if (done_ != size_) {
            throw Error(ErrorCode::conflict,
                        fmt::format("{} is shorter than announced ({} of {} bytes)",
                                    printable(path_),
                                    done_,
                                    size_));
        }
        const std::uint64_t block = session_.block_size();
        put(std::string((block - size_ % block) % block, '\0'));
    }

private:
    Session& session_;
    std::vector<Run> runs_;
    std::uint64_t size_;
    std::string path_;
    std::size_t run_ = 0;
    std::uint64_t within_ = 0; ///< bytes of the run
    std::uint64_t done_ = 0;
};

} // namespace

void Editor::Impl::fill(ext2_ino_t number,
                        std::uint64_t size,
                        const std::string& path,
                        const Content& content)
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
    FileWriter writer(*session, session->runs(number, inode, path), size, path);
    content([&](std::string_view part) { writer.add(part); });
    writer.finish();
}

} // namespace stemma::ext
