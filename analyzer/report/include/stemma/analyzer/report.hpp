#pragma once

#include "stemma/analyzer/peers.hpp"

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

/// All that a report shows; everything is borrowed.
struct ReportInput {
    std::string_view target_name;
    std::string_view peers_are;
    const Ranking& ranking;
    const Sample& target;
    const Pool& pool;
    const PeerModel& model;
    const RankOptions& options;
};

/// One HTML page that needs nothing else: findings with the distribution of each, and a map of the
/// fleet in which VMs that are alike lie together. Every text of a VM is escaped.
std::string ranking_html(const ReportInput& input);

} // namespace stemma::analyzer
