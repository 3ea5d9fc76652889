#pragma once

#include "stemma/volume/filesystem.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::volume {

/// What a walk along a path asks of a tree whose nodes have numbers. `shown` is the path as far as
/// it was walked, for messages.
class WalkedTree {
public:
    struct Step {
        std::uint64_t node = 0;
        NodeKind kind = NodeKind::file;
    };

    /// Where a name in a folder leads; the name is never ".", ".." or empty.
    virtual std::optional<Step>
    step(std::uint64_t folder, const std::string& name, const std::string& shown) = 0;
    /// Where a symbolic link leads.
    virtual std::string link(std::uint64_t node, const std::string& shown) = 0;

protected:
    ~WalkedTree() = default;
};

/// Where a walk ended.
struct WalkEnd {
    std::vector<std::uint64_t> folders;     ///< from the root to the last folder
    std::optional<std::uint64_t> no_folder; ///< the last component, when it is no folder

    [[nodiscard]] std::uint64_t node() const { return no_folder.value_or(folders.back()); }
};

/// Walks a path from the last of `folders` (root first) as a kernel does: links are followed (the
/// last one only when `through`), at most 40 of them, and never out of the tree.
/// Returns nothing when the path leads nowhere.
/// Throws Error(usage) on a path of more than 4,096 components, and what the tree throws.
[[nodiscard]] std::optional<WalkEnd> walk_path(WalkedTree& tree,
                                               std::vector<std::uint64_t> folders,
                                               std::string_view path,
                                               bool through);

/// True for what may be one component of a path: no "/", no NUL, not "", "." or "..". A driver
/// leaves out entries of other names: no kernel makes them, and they would lead a reader astray.
bool is_plain_name(std::string_view name) noexcept;

} // namespace stemma::volume
