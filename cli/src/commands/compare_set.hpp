#pragma once

#include "stemma/analyzer/pool.hpp"
#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stemma::cli {

/// What is compared with what, and why with those.
struct ComparedSet {
    std::vector<analyzer::CanonicalRule> rules; ///< of the user; the pool borrows them
    std::unique_ptr<analyzer::Pool> pool;       ///< the peers
    analyzer::Sample target;
    std::string target_name;              ///< VM's name, or the tree's
    std::optional<std::string> target_vm; ///< uuid
    std::optional<std::string> target_snapshot;
    std::string peers_are; ///< "release shop", "trees in /srv/fleet", …
    std::vector<lineage::Gap> gaps;
};

/// Many VMs in one pool, without a target: what `features --matrix` and `learn` look at.
struct Fleet {
    std::unique_ptr<analyzer::Pool> pool = std::make_unique<analyzer::Pool>();
    std::map<std::string, std::string> snapshots; ///< by the VM's name; empty for trees
    std::vector<lineage::Gap> gaps;               ///< VMs that could not be read
};

/// The newest snapshots of the VMs that the words name, or with --trees FOLDER the folders and tars
/// in there.
/// throws  not_found: none could be read
Fleet read_fleet(Context& context, const Args& args);

/// Adds the trees in a folder to a pool; what cannot be read becomes a gap.
struct TreeFolder {
    std::filesystem::path folder;
    std::vector<std::string> leave_out; ///< names
    std::filesystem::path target;       ///< left out, too; may be empty
};
void add_trees(Context& context,
               const Args& args,
               const TreeFolder& trees,
               analyzer::Pool& pool,
               std::vector<lineage::Gap>& gaps);

/// A target in a folder or .tar and its peers in a folder of such (--dir, --peers-dir, --exclude).
void compare_trees(Context& context, const Args& args, ComparedSet& set);

/// A VM or snapshot of the store and its peers' newest snapshots (TARGET, --peers, --baseline).
void compare_vms(Context& context, const Args& args, ComparedSet& set);

} // namespace stemma::cli
