#pragma once

#include "stemma/analyzer/peers.hpp"
#include "stemma/core/clock.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

struct TextStyle {
    bool colour = false;
    std::size_t limit = 10;
    bool with_noise = false;
};

/// A ranking for a person at a terminal: one paragraph per finding.
std::string ranking_text(std::string_view target,
                         std::string_view peers_are,
                         const Ranking& ranking,
                         const TextStyle& style);

/// How values are spread, as bars.
std::string
explain_text(std::string_view target, const std::vector<Distribution>& distributions, bool colour);

/// One moment in a VM's past.
struct Mark {
    enum class Kind { snapshot, event } kind = Kind::event;
    Time at{};
    std::string label; ///< "snapshot 01a1fc46", "vm.deployed shop-3"
};

/// All that a report shows; everything is borrowed.
struct ReportInput {
    std::string_view target_name;
    std::string_view peers_are;
    const Ranking& ranking;
    const Sample& target;
    const Pool& pool;
    const PeerModel& model;
    const RankOptions& options;
    const std::vector<Mark>& past; ///< may be empty: then there is no timeline
};

/// One HTML page that needs nothing else: findings with the distribution of each, the VM's past,
/// and a map of the fleet in which VMs that are alike lie together, coloured by groups (up to 400
/// VMs). Every text of a VM is escaped.
std::string ranking_html(const ReportInput& input);

} // namespace stemma::analyzer
