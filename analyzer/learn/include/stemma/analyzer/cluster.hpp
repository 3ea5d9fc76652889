#pragma once

#include "stemma/analyzer/matrix.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace stemma::analyzer {

/// Two groups that become one. 0…n-1 are the VMs, n + i is what merge i made.
struct Merge {
    std::size_t left = 0;
    std::size_t right = 0;
    double height = 0; ///< mean distance between members of the two, 0..1
};

/// A setting that tells a group from all other VMs.
struct Defining {
    std::string feature;
    std::optional<std::string> value; ///< nullopt: that it is not there
    std::size_t inside = 0;           ///< members that say so
    std::size_t outside = 0;          ///< other VMs that do
};

struct Cluster {
    std::vector<std::size_t> members; ///< rows of the matrix, ascending
    std::size_t medoid = 0;           ///< the member that is nearest to all others
    std::vector<Defining> defining;   ///< the most telling first; at most 5
};

struct Clustering {
    std::vector<Merge> merges;     ///< by height
    std::vector<Cluster> clusters; ///< the largest first
    double silhouette = 0;         ///< −1..1: how well the VMs lie in their groups
};

/// Pairwise distances: the weight of the columns in which two VMs differ, of all; a column weighs
/// 1 / (its distinct values − 1, absence being one), so that identifiers and counters say little.
/// cost  VMs² × 8 bytes; VMs × exceptions from each column's majority in time
std::vector<std::vector<double>> distances(const Matrix& matrix);

/// Hierarchical grouping by average linkage (nearest-neighbour chains, Murtagh 1983).
/// wanted   number of groups; nullopt: the one of 2…12 with the best silhouette (Rousseeuw 1987)
/// throws   usage: fewer than two VMs, more than 4,000, or more groups than VMs
Clustering cluster(const Matrix& matrix, std::optional<std::size_t> wanted);

} // namespace stemma::analyzer
