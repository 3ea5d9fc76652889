#include "stemma/volume/node_tree.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

namespace stemma::volume {

std::optional<WalkedTree::Step>
NodeTree::step(Node folder, const std::string& name, const std::string& /*shown*/)
{
    const auto node = find(folder, name);
    return node ? std::optional(Step{.node = *node, .kind = info(*node).kind}) : std::nullopt;
}

std::string NodeTree::link(Node node, const std::string& /*shown*/)
{
    return target(node);
}

const std::vector<NodeTree::Node>* NodeTree::folders_to(const std::string& folder)
{
    constexpr std::size_t most_known = 4096;
    if (const auto known = known_folders_.find(folder); known != known_folders_.end()) {
        return &known->second;
    }
    auto end = walk_path(*this, {root()}, folder, true);
    if (!end || end->no_folder) {
        return nullptr;
    }
    if (known_folders_.size() >= most_known) {
        known_folders_.clear();
    }
    return &known_folders_.insert_or_assign(folder, std::move(end->folders)).first->second;
}

std::optional<NodeTree::Node> NodeTree::resolve(const std::string& path, bool through)
{
    const auto slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const bool plain = is_plain_name(name);
    const std::string folder = plain && slash != std::string::npos ? path.substr(0, slash) : "";
    const auto* folders = folders_to(plain ? folder : path);
    if (folders == nullptr || !plain) {
        return folders == nullptr ? std::nullopt : std::optional(folders->back());
    }
    const auto end = walk_path(*this, *folders, name, through);
    return end ? std::optional(end->node()) : std::nullopt;
}

NodeTree::Node NodeTree::need(const std::string& path, bool through)
{
    const auto node = resolve(path, through);
    if (!node) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image", printable(path)));
    }
    return *node;
}

NodeTree::Node
NodeTree::need(const std::string& path, bool through, NodeKind kind, std::string_view what)
{
    const Node node = need(path, through);
    const auto is = info(node).kind;
    if (is != kind) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} is not {} but a {}", printable(path), what, to_string(is)));
    }
    return node;
}

std::optional<NodeInfo> NodeTree::look(const std::string& path)
{
    const auto node = resolve(path, false);
    return node ? std::optional(info(*node)) : std::nullopt;
}

std::optional<NodeInfo> NodeTree::look_through(const std::string& path)
{
    const auto node = resolve(path, true);
    return node ? std::optional(info(*node)) : std::nullopt;
}

std::vector<FolderEntry> NodeTree::list(const std::string& path)
{
    auto all = entries(need(path, true, NodeKind::directory, "a folder"));
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return all;
}

void NodeTree::read(const std::string& path, const std::function<bool(std::string_view)>& sink)
{
    const Node file = need(path, true, NodeKind::file, "a regular file");
    doing([&] { give(file, sink); }, "reading {}", printable(path));
}

std::string NodeTree::read_link(const std::string& path)
{
    return target(need(path, false, NodeKind::symlink, "a symbolic link"));
}

std::map<std::string, std::string> NodeTree::extended_attributes(const std::string& path)
{
    return attributes(need(path, false));
}

std::string NodeTree::target(Node /*link*/)
{
    return {};
}

std::map<std::string, std::string> NodeTree::attributes(Node /*node*/)
{
    return {};
}

const ListedTree::Listing& ListedTree::listing(Node folder)
{
    if (!known_ || known_folder_ != folder) {
        known_ = read_folder(folder);
        known_folder_ = folder;
    }
    return *known_;
}

std::optional<NodeTree::Node> ListedTree::find(Node folder, const std::string& name)
{
    const Listing& all = listing(folder);
    const auto found = all.find(name);
    return found == all.end() ? std::nullopt : std::optional(found->second.node);
}

std::vector<FolderEntry> ListedTree::entries(Node folder)
{
    std::vector<FolderEntry> all;
    for (const auto& [name, step] : listing(folder)) {
        all.push_back({.name = name, .kind = step.kind});
    }
    return all;
}

} // namespace stemma::volume
