#pragma once

#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/path_walk.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stemma::volume {

/// A file tree whose driver knows its nodes by number (an inode, the place of a folder's entry).
/// A driver answers about single nodes; paths and links are walked here.
class NodeTree : public Filesystem, protected WalkedTree {
public:
    [[nodiscard]] std::optional<NodeInfo> look(const std::string& path) final;
    [[nodiscard]] std::optional<NodeInfo> look_through(const std::string& path) final;
    [[nodiscard]] std::vector<FolderEntry> list(const std::string& path) final;
    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) final;
    [[nodiscard]] std::string read_link(const std::string& path) final;
    [[nodiscard]] std::map<std::string, std::string>
    extended_attributes(const std::string& path) final;

protected:
    using Node = std::uint64_t;

    [[nodiscard]] virtual Node root() = 0;
    /// The node of that name in a folder; the name is never ".", ".." or empty.
    [[nodiscard]] virtual std::optional<Node> find(Node folder, const std::string& name) = 0;
    [[nodiscard]] virtual NodeInfo info(Node node) = 0;
    /// In any order, without "." and "..".
    [[nodiscard]] virtual std::vector<FolderEntry> entries(Node folder) = 0;
    /// A regular file's content, as read() gives it.
    virtual void give(Node file, const std::function<bool(std::string_view)>& sink) = 0;
    [[nodiscard]] virtual std::string target(Node link);
    [[nodiscard]] virtual std::map<std::string, std::string> attributes(Node node);

private:
    std::optional<Step> step(Node folder, const std::string& name, const std::string& shown) final;
    std::string link(Node node, const std::string& shown) final;
    /// The folders from the root to this one; nullptr when it is none.
    const std::vector<Node>* folders_to(const std::string& folder);
    std::optional<Node> resolve(const std::string& path, bool through);
    Node need(const std::string& path, bool through);
    Node need(const std::string& path, bool through, NodeKind kind, std::string_view what);

    std::unordered_map<std::string, std::vector<Node>> known_folders_; ///< nothing ever changes
};

/// A tree whose driver reads a folder as a whole. The last one is kept: a walk asks for its entries
/// one after the other.
class ListedTree : public NodeTree {
protected:
    using Listing = std::map<std::string, Step>; ///< name → where it leads

    /// All entries of a folder whose names may be components of a path (is_plain_name()).
    [[nodiscard]] virtual Listing read_folder(Node folder) = 0;

private:
    [[nodiscard]] std::optional<Node> find(Node folder, const std::string& name) final;
    [[nodiscard]] std::vector<FolderEntry> entries(Node folder) final;
    const Listing& listing(Node folder);

    Node known_folder_ = 0;
    std::optional<Listing> known_;
};

} // namespace stemma::volume
