#include "stemma/archive/reader.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/node_tree.hpp"

#include <algorithm>
#include <limits>

namespace stemma::volume {

namespace {

constexpr std::size_t most_entries = 4'000'000;
constexpr std::size_t piece = std::size_t{1} << 20U;

using Index = std::uint32_t;
constexpr Index root_index = 0;

struct TarNode {
    NodeInfo info;
    std::string content; ///< of a file, or the target of a link
    std::map<std::string, std::string> xattrs;
    std::map<std::string, Index, std::less<>> children;
};

NodeKind kind_of(archive::EntryKind kind)
{
    switch (kind) {
    case archive::EntryKind::directory:
        return NodeKind::directory;
    case archive::EntryKind::symlink:
        return NodeKind::symlink;
    case archive::EntryKind::fifo:
        return NodeKind::fifo;
    case archive::EntryKind::socket:
        return NodeKind::socket;
    case archive::EntryKind::char_device:
        return NodeKind::char_device;
    case archive::EntryKind::block_device:
        return NodeKind::block_device;
    case archive::EntryKind::file:
    case archive::EntryKind::hard_link:
        break;
    }
    return NodeKind::file;
}

std::uint32_t narrow_id(std::uint64_t id)
{
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(id, std::numeric_limits<std::uint32_t>::max()));
}

/// Everything lies in memory, nodes by index: a tree of any depth goes away without recursion.
class TarTree final : public NodeTree {
public:
    TarTree(archive::Reader reader, std::string name, std::uint64_t max_bytes);

    [[nodiscard]] std::string driver() const override { return "tar"; }

protected:
    Node root() override { return root_index; }
    std::optional<Node> find(Node folder, const std::string& name) override;
    NodeInfo info(Node node) override { return nodes_[node].info; }
    std::vector<FolderEntry> entries(Node folder) override;
    void give(Node file, const std::function<bool(std::string_view)>& sink) override;
    std::string target(Node link) override { return nodes_[link].content; }
    std::map<std::string, std::string> attributes(Node node) override
    {
        return nodes_[node].xattrs;
    }

private:
    void add(const archive::Entry& entry, archive::Reader& reader);
    void fill(TarNode& node, const archive::Entry& entry, archive::Reader& reader);
    std::optional<Index> folder_for(std::string_view path);
    Index make(Index parent, std::string name);
    std::optional<Index> hard_linked(const archive::Entry& entry);

    std::string name_;
    std::vector<TarNode> nodes_;
    std::uint64_t room_; ///< bytes of content that may still come
};

TarTree::TarTree(archive::Reader reader, std::string name, std::uint64_t max_bytes)
    : name_(std::move(name)), room_(max_bytes)
{
    nodes_.emplace_back();
    nodes_[root_index].info.kind = NodeKind::directory;
    nodes_[root_index].info.mode = 0755;
    while (const auto entry = reader.next()) {
        add(*entry, reader);
    }
}

Index TarTree::make(Index parent, std::string name)
{
    if (nodes_.size() >= most_entries) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: more than {} entries", name_, most_entries));
    }
    const auto index = static_cast<Index>(nodes_.size());
    auto& node = nodes_.emplace_back();
    node.info.inode = index;
    nodes_[parent].children.insert_or_assign(std::move(name), index);
    return index;
}

/// The folder of that path, made where it is missing; nullopt where something else is in the way.
std::optional<Index> TarTree::folder_for(std::string_view path)
{
    auto folder = root_index;
    for (const auto part : split(path, '/')) {
        if (part.empty()) {
            continue;
        }
        const auto found = nodes_[folder].children.find(part);
        if (found != nodes_[folder].children.end()) {
            folder = found->second;
            if (nodes_[folder].info.kind != NodeKind::directory) {
                return std::nullopt;
            }
            continue;
        }
        folder = make(folder, std::string(part));
        nodes_[folder].info.kind = NodeKind::directory;
        nodes_[folder].info.mode = 0755;
    }
    return folder;
}

/// Entries whose path leads out of the tree, or through something that is no folder, are left out:
/// no tree on a disk could hold them either.
void TarTree::add(const archive::Entry& entry, archive::Reader& reader)
{
    const auto path = archive::safe_path(entry.path);
    if (!path) {
        return;
    }
    if (path->empty()) {
        if (entry.kind == archive::EntryKind::directory) {
            fill(nodes_[root_index], entry, reader);
        }
        return;
    }
    const auto slash = path->rfind('/');
    const auto folder = folder_for(
        slash == std::string::npos ? std::string_view{} : std::string_view(*path).substr(0, slash));
    if (!folder) {
        return;
    }
    auto name = path->substr(slash == std::string::npos ? 0 : slash + 1);
    if (entry.kind == archive::EntryKind::hard_link) {
        if (const auto index = hard_linked(entry)) {
            ++nodes_[*index].info.links;
            nodes_[*folder].children.insert_or_assign(std::move(name), *index);
        }
        return;
    }
    const auto there = nodes_[*folder].children.find(name);
    const bool same_folder = entry.kind == archive::EntryKind::directory &&
                             there != nodes_[*folder].children.end() &&
                             nodes_[there->second].info.kind == NodeKind::directory;
    const auto index = same_folder ? there->second : make(*folder, std::move(name));
    fill(nodes_[index], entry, reader);
}

void TarTree::fill(TarNode& node, const archive::Entry& entry, archive::Reader& reader)
{
    node.info.kind = kind_of(entry.kind);
    node.info.mode = entry.mode;
    node.info.uid = narrow_id(entry.uid);
    node.info.gid = narrow_id(entry.gid);
    node.info.modified = entry.modified;
    node.xattrs = entry.xattrs;
    if (entry.kind == archive::EntryKind::symlink) {
        node.content = entry.link_target;
    } else if (entry.kind == archive::EntryKind::file) {
        if (entry.size > room_) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{}: holds more content than may be kept in memory", name_),
                        "unpack it into a folder and name that");
        }
        node.content = reader.content_all(room_);
        room_ -= node.content.size();
    }
    node.info.size = node.content.size();
}

/// What a hard link is another name of; nothing when that is missing or a folder.
std::optional<Index> TarTree::hard_linked(const archive::Entry& entry)
{
    const auto path = archive::safe_path(entry.link_target);
    const auto end = path ? walk_path(*this, {root_index}, *path, false) : std::nullopt;
    return end && end->no_folder ? std::optional(static_cast<Index>(*end->no_folder))
                                 : std::nullopt;
}

std::optional<NodeTree::Node> TarTree::find(Node folder, const std::string& name)
{
    const auto& children = nodes_[folder].children;
    const auto found = children.find(name);
    return found == children.end() ? std::nullopt : std::optional<Node>(found->second);
}

std::vector<FolderEntry> TarTree::entries(Node folder)
{
    std::vector<FolderEntry> all;
    for (const auto& [name, index] : nodes_[folder].children) {
        all.push_back({name, nodes_[index].info.kind});
    }
    return all;
}

void TarTree::give(Node file, const std::function<bool(std::string_view)>& sink)
{
    std::string_view rest = nodes_[file].content;
    while (!rest.empty() && sink(rest.substr(0, piece))) {
        rest.remove_prefix(std::min(piece, rest.size()));
    }
}

} // namespace

std::unique_ptr<Filesystem> open_tar(const std::string& path, std::uint64_t max_bytes)
{
    return std::make_unique<TarTree>(
        archive::Reader::open(path, archive::Format::tar), path, max_bytes);
}

} // namespace stemma::volume
