#pragma once

#include "stemma/analyzer/pool.hpp"
#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"

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

/// A target in a folder or .tar and its peers in a folder of such (--dir, --peers-dir, --exclude).
void compare_trees(Context& context, const Args& args, ComparedSet& set);

/// A VM or snapshot of the store and its peers' newest snapshots (TARGET, --peers, --baseline).
void compare_vms(Context& context, const Args& args, ComparedSet& set);

} // namespace stemma::cli
