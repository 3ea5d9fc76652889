#pragma once

#include "stemma/analyzer/cluster.hpp"

namespace stemma::analyzer {

using Distances = std::vector<std::vector<double>>;

/// All n-1 merges, by height.
std::vector<Merge> link_by_average(Distances distance);

/// The group of each VM, 0…groups-1 in order of first member, after all merges but the last ones.
std::vector<std::size_t> cut(const std::vector<Merge>& merges, std::size_t groups);

/// Mean over all VMs of (b − a) / max(a, b); groups of one count 0.
double silhouette(const Distances& distance, const std::vector<std::size_t>& group_of);

} // namespace stemma::analyzer
