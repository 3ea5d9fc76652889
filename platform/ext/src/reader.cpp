#include "stemma/core/text.hpp"
#include "stemma/ext/ext.hpp"

#include "journal.hpp"
#include "session_tree.hpp"

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

void expect(const Inode& inode, NodeKind kind, const std::string& path, std::string_view what)
{
    if (kind_of(inode.i_mode) != kind) {
        throw Error(
            ErrorCode::usage,
            fmt::format(
                "{} is not {} but a {}", printable(path), what, to_string(kind_of(inode.i_mode))));
    }
}

class Reader final : public SessionTree {
public:
    explicit Reader(std::unique_ptr<volume::Volume> volume)
        : SessionTree(nullptr),
          volume_(std::move(volume)),
          session_(std::make_unique<Session>(*volume_, 0))
    {
        expect_whole(*session_);
        if (needs_replay(*session_)) {
            Replay replay = read_log(*session_);
            session_.reset();
            volume_ = replayed_view(std::move(volume_), std::move(replay));
            session_ = std::make_unique<Session>(*volume_, 0);
        }
        use(session_.get());
    }

private:
    std::unique_ptr<volume::Volume> volume_;
    std::unique_ptr<Session> session_;
};

} // namespace

std::vector<FolderEntry> SessionTree::list(const std::string& path)
{
    const auto number = need(path, true);
    const Inode inode = session_->read_inode(number, path);
    expect(inode, NodeKind::directory, path, "a folder");
    std::vector<FolderEntry> entries;
    for (const auto& [name, entry] : session_->directory(number, path)) {
        NodeKind kind = kind_of_entry(entry.type);
        if (entry.type == EXT2_FT_UNKNOWN) {
            kind =
                kind_of(session_->read_inode(entry.inode, fmt::format("{}/{}", path, name)).i_mode);
        }
        entries.push_back({.name = name, .kind = kind});
    }
    return entries;
}

void SessionTree::read(const std::string& path, const std::function<bool(std::string_view)>& sink)
{
    const auto number = need(path, true);
    const Inode inode = session_->read_inode(number, path);
    expect(inode, NodeKind::file, path, "a regular file");
    session_->read_content(number, inode, path, sink);
}

std::string SessionTree::read_link(const std::string& path)
{
    const auto number = need(path, false);
    const Inode inode = session_->read_inode(number, path);
    expect(inode, NodeKind::symlink, path, "a symbolic link");
    return session_->link_target(number, inode, path);
}

std::map<std::string, std::string> SessionTree::extended_attributes(const std::string& path)
{
    return session_->extended_attributes(need(path, false), path);
}

std::optional<NodeInfo> SessionTree::look_at(const std::string& path, bool through)
{
    const auto number = session_->resolve(path, through);
    if (!number) {
        return std::nullopt;
    }
    return info_of(
        *number, session_->read_inode(*number, path), session_->fs()->super->s_inode_size);
}

ext2_ino_t SessionTree::need(const std::string& path, bool through)
{
    const auto number = session_->resolve(path, through);
    if (!number) {
        throw Error(ErrorCode::not_found,
                    fmt::format("{}: there is no {}", session_->volume().name(), printable(path)));
    }
    return *number;
}

std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume)
{
    return std::make_unique<Reader>(std::move(volume));
}

} // namespace stemma::ext
