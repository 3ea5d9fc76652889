#include "stemma/archive/reader.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/filesystem.hpp"

#include <algorithm>
#include <limits>

namespace stemma::volume {

namespace {

constexpr std::size_t most_entries = 4'000'000;
constexpr std::size_t most_links = 40;
constexpr std::size_t most_steps = 8192; ///< components in all while one path is resolved
constexpr std::size_t piece = std::size_t{1} << 20U;

using Index = std::uint32_t;
constexpr Index root_index = 0;

struct Node {
    NodeInfo info;
    Index parent = root_index;
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
class TarTree final : public Filesystem {
public:
    TarTree(archive::Reader reader, std::string name, std::uint64_t max_bytes);

    [[nodiscard]] std::string driver() const override { return "tar"; }

    [[nodiscard]] std::optional<NodeInfo> look(const std::string& path) override
    {
        return info_of(resolve(path, false));
    }

    [[nodiscard]] std::optional<NodeInfo> look_through(const std::string& path) override
    {
        return info_of(resolve(path, true));
    }

    [[nodiscard]] std::vector<FolderEntry> list(const std::string& path) override
    {
        const auto& node = existing(path, true);
        if (node.info.kind != NodeKind::directory) {
            throw Error(ErrorCode::usage, fmt::format("{} is not a folder", printable(path)));
        }
        std::vector<FolderEntry> entries;
        for (const auto& [child, index] : node.children) {
            entries.push_back({child, nodes_[index].info.kind});
        }
        return entries;
    }

    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) override
    {
        const auto& node = existing(path, true);
        if (node.info.kind != NodeKind::file) {
            throw Error(ErrorCode::usage, fmt::format("{} is not a regular file", printable(path)));
        }
        std::string_view rest = node.content;
        while (!rest.empty() && sink(rest.substr(0, piece))) {
            rest.remove_prefix(std::min(piece, rest.size()));
        }
    }

    [[nodiscard]] std::string read_link(const std::string& path) override
    {
        const auto& node = existing(path, false);
        if (node.info.kind != NodeKind::symlink) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} is not a symbolic link", printable(path)));
        }
        return node.content;
    }

    [[nodiscard]] std::map<std::string, std::string>
    extended_attributes(const std::string& path) override
    {
        return existing(path, false).xattrs;
    }

private:
    void add(const archive::Entry& entry, archive::Reader& reader);
    void fill(Node& node, const archive::Entry& entry, archive::Reader& reader);
    std::optional<Index> folder_for(std::string_view path);
    Index make(Index parent, std::string name);
    [[nodiscard]] std::optional<Index> resolve(const std::string& path, bool follow_last) const;

    [[nodiscard]] std::optional<NodeInfo> info_of(std::optional<Index> index) const
    {
        return index ? std::optional(nodes_[*index].info) : std::nullopt;
    }

    [[nodiscard]] const Node& existing(const std::string& path, bool follow_last) const
    {
        const auto index = resolve(path, follow_last);
        if (!index) {
            throw Error(ErrorCode::not_found,
                        fmt::format("there is no {} in {}", printable(path), name_));
        }
        return nodes_[*index];
    }

    std::string name_;
    std::vector<Node> nodes_;
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
    node.parent = parent;
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
        const auto target = archive::safe_path(entry.link_target);
        const auto index = target ? resolve("/" + *target, false) : std::nullopt;
        if (index && nodes_[*index].info.kind != NodeKind::directory) {
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

void TarTree::fill(Node& node, const archive::Entry& entry, archive::Reader& reader)
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

std::optional<Index> TarTree::resolve(const std::string& path, bool follow_last) const
{
    std::vector<std::string> waiting; // components yet to come, the next one last
    const auto push = [&](std::string_view text) {
        auto parts = split(text, '/');
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
            waiting.emplace_back(*part);
        }
    };
    push(path);
    auto here = root_index;
    std::size_t links = 0;
    for (std::size_t steps = 0; !waiting.empty(); ++steps) {
        const auto part = std::move(waiting.back());
        waiting.pop_back();
        const auto& node = nodes_[here];
        if (part.empty() || part == ".") {
            continue;
        }
        if (steps > most_steps || node.info.kind != NodeKind::directory) {
            return std::nullopt;
        }
        if (part == "..") {
            here = node.parent;
            continue;
        }
        const auto found = node.children.find(part);
        if (found == node.children.end()) {
            return std::nullopt;
        }
        const auto& child = nodes_[found->second];
        if (child.info.kind == NodeKind::symlink && (!waiting.empty() || follow_last)) {
            if (++links > most_links) {
                return std::nullopt;
            }
            here = child.content.starts_with('/') ? root_index : here;
            push(child.content);
            continue;
        }
        here = found->second;
    }
    return here;
}

} // namespace

std::unique_ptr<Filesystem> open_tar(const std::string& path, std::uint64_t max_bytes)
{
    return std::make_unique<TarTree>(
        archive::Reader::open(path, archive::Format::tar), path, max_bytes);
}

} // namespace stemma::volume
