#include "stemma/volume/node_tree.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <deque>

namespace stemma::volume {

namespace {

constexpr int most_links = 40;
constexpr std::size_t most_components = 4096;

void push_components(std::deque<std::string>& rest, const std::string& path)
{
    std::vector<std::string> parts;
    for (const std::string_view part : split(path, '/')) {
        if (!part.empty() && part != ".") {
            parts.emplace_back(part);
        }
    }
    if (parts.size() + rest.size() > most_components) {
        throw Error(ErrorCode::usage, "a path of more than 4096 parts");
    }
    rest.insert(rest.begin(), parts.begin(), parts.end());
}

} // namespace

bool is_plain_name(std::string_view name) noexcept
{
    return !name.empty() && name != "." && name != ".." &&
           name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

/// Where a walk along a path stands.
struct NodeTree::Walk {
    std::vector<Node> folders;    ///< from the root to here
    std::deque<std::string> rest; ///< components still to go
    int links = 0;
    std::optional<Node> found; ///< the last component, when it is no folder
    bool missing = false;
};

void NodeTree::step(Walk& walk, const std::string& name, bool through)
{
    if (name == "..") {
        if (walk.folders.size() > 1) {
            walk.folders.pop_back();
        }
        return;
    }
    const auto node = find(walk.folders.back(), name);
    if (!node) {
        walk.missing = true;
        return;
    }
    const auto kind = info(*node).kind;
    if (kind == NodeKind::directory) {
        walk.folders.push_back(*node);
        return;
    }
    if (kind != NodeKind::symlink || (walk.rest.empty() && !through)) {
        walk.found = node;
        walk.missing = !walk.rest.empty();
        return;
    }
    if (++walk.links > most_links) {
        walk.missing = true; // links that go round lead nowhere
        return;
    }
    const std::string to = target(*node);
    if (to.starts_with('/')) {
        walk.folders.resize(1);
    }
    push_components(walk.rest, to);
}

void NodeTree::run(Walk& walk, bool through)
{
    while (!walk.rest.empty() && !walk.missing) {
        const std::string name = std::move(walk.rest.front());
        walk.rest.pop_front();
        step(walk, name, through);
        if (walk.found) {
            return;
        }
    }
}

const std::vector<NodeTree::Node>* NodeTree::folders_to(const std::string& folder)
{
    constexpr std::size_t most_known = 4096;
    if (const auto known = known_folders_.find(folder); known != known_folders_.end()) {
        return &known->second;
    }
    Walk walk;
    walk.folders.push_back(root());
    push_components(walk.rest, folder);
    run(walk, true);
    if (walk.missing || walk.found) {
        return nullptr;
    }
    if (known_folders_.size() >= most_known) {
        known_folders_.clear();
    }
    return &known_folders_.insert_or_assign(folder, std::move(walk.folders)).first->second;
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
    Walk walk;
    walk.folders = *folders;
    walk.rest.push_back(name);
    run(walk, through);
    if (walk.missing) {
        return std::nullopt;
    }
    return walk.found ? walk.found : walk.folders.back();
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

} // namespace stemma::volume
