#include "stemma/analyzer/cluster.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <map>

#include "linkage.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t most_vms = 4'000;
constexpr std::size_t most_groups = 12;
constexpr std::size_t most_defining = 5;

struct ColumnCounts {
    std::map<std::uint32_t, std::size_t> by_code;
    std::uint32_t majority = 0;
};

ColumnCounts counts_of(const Matrix& matrix, std::size_t column)
{
    ColumnCounts counts;
    for (const auto& row : matrix.codes) {
        ++counts.by_code[row[column]];
    }
    counts.majority =
        std::max_element(counts.by_code.begin(),
                         counts.by_code.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; })
            ->first;
    return counts;
}

/// The most common answer of a group that few others give, by the difference of the two shares.
std::optional<std::pair<double, Defining>>
defining_of(const Matrix& matrix, std::size_t column, const std::vector<bool>& inside)
{
    std::map<std::uint32_t, std::pair<std::size_t, std::size_t>> counts;
    std::size_t size = 0;
    for (std::size_t row = 0; row < inside.size(); ++row) {
        auto& [in, out] = counts[matrix.codes[row][column]];
        ++(inside[row] ? in : out);
        size += inside[row] ? 1U : 0U;
    }
    const auto best =
        std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
            return a.second.first < b.second.first;
        });
    const auto others = static_cast<double>(inside.size() - size);
    const auto [in, out] = best->second;
    const double share = static_cast<double>(in) / static_cast<double>(size);
    const double contrast = share - (others > 0 ? static_cast<double>(out) / others : 0);
    if (share < 0.6 || contrast < 0.3) {
        return std::nullopt;
    }
    Defining defining;
    defining.feature = matrix.columns[column].name;
    if (best->first != 0) {
        defining.value = matrix.columns[column].values[best->first - 1];
    }
    defining.inside = in;
    defining.outside = out;
    // Of equally telling ones, that something is there says more than that it is not.
    return std::pair(contrast + (best->first != 0 ? 0.001 : 0), std::move(defining));
}

std::vector<Defining> defining_settings(const Matrix& matrix, const Cluster& group)
{
    std::vector<bool> inside(matrix.vms.size(), false);
    for (const std::size_t row : group.members) {
        inside[row] = true;
    }
    std::vector<std::pair<double, Defining>> found;
    for (std::size_t column = 0; column < matrix.columns.size(); ++column) {
        if (auto one = defining_of(matrix, column, inside)) {
            found.push_back(std::move(*one));
        }
    }
    std::stable_sort(
        found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<Defining> best;
    std::map<std::string, std::size_t> of_file;
    for (auto& [score, defining] : found) {
        // Two of one file say what one says.
        const std::string file = defining.feature.substr(0, defining.feature.find(':'));
        if (best.size() < most_defining && ++of_file[file] <= 2) {
            best.push_back(std::move(defining));
        }
    }
    return best;
}

std::size_t medoid_of(const Distances& distance, const std::vector<std::size_t>& members)
{
    std::size_t best = members.front();
    double least = -1;
    for (const std::size_t one : members) {
        double sum = 0;
        for (const std::size_t other : members) {
            sum += distance[one][other];
        }
        if (least < 0 || sum < least) {
            least = sum;
            best = one;
        }
    }
    return best;
}

/// Adds `weight` between all VMs that a column tells apart. Pairs of one VM with the majority's
/// value and one without are visited once, from the side of the latter.
void add_column(const Matrix& matrix,
                std::size_t column,
                std::uint32_t majority,
                double weight,
                Distances& result)
{
    const std::size_t n = matrix.vms.size();
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t own = matrix.codes[i][column];
        for (std::size_t j = 0; own != majority && j < n; ++j) {
            const std::uint32_t other = matrix.codes[j][column];
            if (own != other && (other == majority || i < j)) {
                result[i][j] += weight;
                result[j][i] += weight;
            }
        }
    }
}

} // namespace

std::vector<std::vector<double>> distances(const Matrix& matrix)
{
    const std::size_t n = matrix.vms.size();
    Distances result(n, std::vector<double>(n, 0));
    double total = 0;
    for (std::size_t column = 0; column < matrix.columns.size(); ++column) {
        const ColumnCounts counts = counts_of(matrix, column);
        if (counts.by_code.size() < 2) {
            continue;
        }
        const double weight = 1.0 / static_cast<double>(counts.by_code.size() - 1);
        total += weight;
        add_column(matrix, column, counts.majority, weight, result);
    }
    for (auto& row : result) {
        for (double& value : row) {
            value = total > 0 ? value / total : 0;
        }
    }
    return result;
}

Clustering cluster(const Matrix& matrix, std::optional<std::size_t> wanted)
{
    const std::size_t n = matrix.vms.size();
    if (n < 2 || n > most_vms) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} VMs cannot be grouped", n),
                    fmt::format("name a set of 2 to {} VMs that have snapshots", most_vms));
    }
    if (wanted && (*wanted < 1 || *wanted > n)) {
        throw Error(ErrorCode::usage, fmt::format("{} VMs do not make {} groups", n, *wanted));
    }
    const Distances distance = distances(matrix);
    Clustering result;
    result.merges = link_by_average(distance);
    std::vector<std::size_t> group_of;
    if (wanted) {
        group_of = cut(result.merges, *wanted);
        result.silhouette = silhouette(distance, group_of);
    }
    for (std::size_t groups = 2; !wanted && groups <= std::min(most_groups, n); ++groups) {
        auto trial = cut(result.merges, groups);
        const double quality = silhouette(distance, trial);
        if (group_of.empty() || quality > result.silhouette) {
            result.silhouette = quality;
            group_of = std::move(trial);
        }
    }
    result.clusters.resize(*std::max_element(group_of.begin(), group_of.end()) + 1);
    for (std::size_t row = 0; row < n; ++row) {
        result.clusters[group_of[row]].members.push_back(row);
    }
    for (Cluster& group : result.clusters) {
        group.medoid = medoid_of(distance, group.members);
        group.defining = defining_settings(matrix, group);
    }
    std::stable_sort(
        result.clusters.begin(), result.clusters.end(), [](const Cluster& a, const Cluster& b) {
            return a.members.size() > b.members.size();
        });
    return result;
}

} // namespace stemma::analyzer
