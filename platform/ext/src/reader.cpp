#include "stemma/core/text.hpp"
#include "stemma/ext/ext.hpp"

#include "journal.hpp"
#include "session.hpp"

namespace stemma::ext {

namespace {

using volume::FolderEntry;
using volume::NodeInfo;
using volume::NodeKind;

NodeKind kind_of_entry(int type) noexcept
{
    switch (type) {
    case EXT2_FT_DIR:
        return NodeKind::directory;
    case EXT2_FT_SYMLINK:
        return NodeKind::symlink;
    case EXT2_FT_FIFO:
        return NodeKind::fifo;
    case EXT2_FT_SOCK:
        return NodeKind::socket;
    case EXT2_FT_CHRDEV:
        return NodeKind::char_device;
    case EXT2_FT_BLKDEV:
        return NodeKind::block_device;
    default:
        return NodeKind::file;
    }
}

class Reader final : public volume::Filesystem {
public:
    explicit Reader(std::unique_ptr<volume::Volume> volume)
        : volume_(std::move(volume)), session_(std::make_unique<Session>(*volume_, 0))
    {
        if (needs_replay(*session_)) {
            Replay replay = read_log(*session_);
            session_.reset();
            volume_ = replayed_view(std::move(volume_), std::move(replay));
            session_ = std::make_unique<Session>(*volume_, 0);
        }
        const std::uint64_t blocks = ::ext2fs_blocks_count(session_->fs()->super);
        if (blocks > volume_->size() / session_->block_size()) {
            throw Error(
                ErrorCode::corrupt,
                fmt::format("{}: the file system claims {} blocks of {} bytes, which is more than "
                            "its disk holds ({} bytes)",
                            volume_->name(),
                            blocks,
                            session_->block_size(),
                            volume_->size()),
                "the image was cut off, or its partition is smaller than the file system");
        }
    }

    [[nodiscard]] std::string driver() const override { return session_->driver(); }

    [[nodiscard]] std::optional<NodeInfo> look(const std::string& path) override
    {
        return look_at(path, false);
    }

    [[nodiscard]] std::optional<NodeInfo> look_through(const std::string& path) override
    {
        return look_at(path, true);
    }

    [[nodiscard]] std::vector<FolderEntry> list(const std::string& path) override
    {
        const auto number = need(path, true);
        const Inode inode = session_->read_inode(number, path);
        expect(inode, NodeKind::directory, path, "a folder");
        std::vector<FolderEntry> entries;
        for (const auto& [name, entry] : session_->directory(number, path)) {
            NodeKind kind = kind_of_entry(entry.type);
            if (entry.type == EXT2_FT_UNKNOWN) {
                kind = kind_of(session_->read_inode(entry.inode, path + "/" + name).i_mode);
            }
            entries.push_back({.name = name, .kind = kind});
        }
        return entries;
    }

    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) override
    {
        const auto number = need(path, true);
        const Inode inode = session_->read_inode(number, path);
        expect(inode, NodeKind::file, path, "a regular file");
        session_->read_content(number, inode, path, sink);
    }

    [[nodiscard]] std::string read_link(const std::string& path) override
    {
        const auto number = need(path, false);
        const Inode inode = session_->read_inode(number, path);
        expect(inode, NodeKind::symlink, path, "a symbolic link");
        return session_->link_target(number, inode, path);
    }

    [[nodiscard]] std::map<std::string, std::string>
    extended_attributes(const std::string& path) override
    {
        return session_->extended_attributes(need(path, false), path);
    }

private:
    std::optional<NodeInfo> look_at(const std::string& path, bool through)
    {
        const auto number = session_->resolve(path, through);
        if (!number) {
            return std::nullopt;
        }
        return info_of(
            *number, session_->read_inode(*number, path), session_->fs()->super->s_inode_size);
    }

    ext2_ino_t need(const std::string& path, bool through)
    {
        const auto number = session_->resolve(path, through);
        if (!number) {
            throw Error(ErrorCode::not_found,
                        fmt::format("{}: there is no {}", volume_->name(), printable(path)));
        }
        return *number;
    }

    static void
    expect(const Inode& inode, NodeKind kind, const std::string& path, std::string_view what)
    {
        if (kind_of(inode.i_mode) != kind) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} is not {} but a {}",
                                    printable(path),
                                    what,
                                    to_string(kind_of(inode.i_mode))));
        }
    }

    std::unique_ptr<volume::Volume> volume_;
    std::unique_ptr<Session> session_;
};

} // namespace

std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume)
{
    return std::make_unique<Reader>(std::move(volume));
}

} // namespace stemma::ext
