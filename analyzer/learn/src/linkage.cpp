#include "linkage.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace stemma::analyzer {

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

/// One group while groups are joined; `id` as in Merge.
struct Group {
    std::size_t id = 0;
    std::size_t size = 1;
    bool alive = true;
};

std::size_t nearest_to(std::size_t one, const Distances& distance, const std::vector<Group>& groups)
{
    std::size_t best = one;
    double least = infinite;
    for (std::size_t other = 0; other < groups.size(); ++other) {
        if (other != one && groups[other].alive && distance[one][other] < least) {
            least = distance[one][other];
            best = other;
        }
    }
    return best;
}

/// Lance and Williams' update for average linkage.
void join(std::size_t a, std::size_t b, Distances& distance, std::vector<Group>& groups)
{
    const auto weight_a = static_cast<double>(groups[a].size);
    const auto weight_b = static_cast<double>(groups[b].size);
    for (std::size_t other = 0; other < groups.size(); ++other) {
        const double mean =
            (weight_a * distance[a][other] + weight_b * distance[b][other]) / (weight_a + weight_b);
        distance[a][other] = mean;
        distance[other][a] = mean;
    }
    groups[a].size += groups[b].size;
    groups[b].alive = false;
}

/// Chains give merges in another order than height; ids are given anew in that order.
std::vector<Merge> in_order_of_height(std::vector<Merge> merges, std::size_t leaves)
{
    std::vector<std::size_t> order(merges.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return merges[a].height < merges[b].height;
    });
    std::vector<std::size_t> place(merges.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        place[order[i]] = leaves + i;
    }
    const auto renamed = [&](std::size_t id) { return id < leaves ? id : place[id - leaves]; };
    std::vector<Merge> sorted;
    for (const std::size_t i : order) {
        const std::size_t left = renamed(merges[i].left);
        const std::size_t right = renamed(merges[i].right);
        sorted.push_back({std::min(left, right), std::max(left, right), merges[i].height});
    }
    return sorted;
}

} // namespace

std::vector<Merge> link_by_average(Distances distance)
{
    const std::size_t leaves = distance.size();
    std::vector<Group> groups(leaves);
    for (std::size_t i = 0; i < leaves; ++i) {
        groups[i].id = i;
    }
    std::vector<Merge> merges;
    std::vector<std::size_t> chain;
    while (merges.size() + 1 < leaves) {
        if (chain.empty()) {
            const auto first = std::find_if(
                groups.begin(), groups.end(), [](const Group& group) { return group.alive; });
            chain.push_back(static_cast<std::size_t>(first - groups.begin()));
        }
        const std::size_t top = chain.back();
        std::size_t next = nearest_to(top, distance, groups);
        // Of equally near ones the one it came from, or the chain would never end.
        if (chain.size() > 1 && distance[top][chain[chain.size() - 2]] <= distance[top][next]) {
            next = chain[chain.size() - 2];
        }
        if (chain.size() < 2 || next != chain[chain.size() - 2]) {
            chain.push_back(next);
            continue;
        }
        chain.resize(chain.size() - 2);
        merges.push_back({groups[top].id, groups[next].id, distance[top][next]});
        join(top, next, distance, groups);
        groups[top].id = leaves + merges.size() - 1;
    }
    return in_order_of_height(std::move(merges), leaves);
}

std::vector<std::size_t> cut(const std::vector<Merge>& merges, std::size_t groups)
{
    const std::size_t leaves = merges.size() + 1;
    std::vector<std::size_t> above(leaves + merges.size());
    std::iota(above.begin(), above.end(), std::size_t{0});
    for (std::size_t i = 0; i + groups < leaves; ++i) {
        above[merges[i].left] = leaves + i;
        above[merges[i].right] = leaves + i;
    }
    std::vector<std::size_t> roots;
    std::vector<std::size_t> group_of(leaves);
    for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
        std::size_t root = leaf;
        while (above[root] != root) {
            root = above[root];
        }
        const auto found = std::find(roots.begin(), roots.end(), root);
        group_of[leaf] = static_cast<std::size_t>(found - roots.begin());
        if (found == roots.end()) {
            roots.push_back(root);
        }
    }
    return group_of;
}

double silhouette(const Distances& distance, const std::vector<std::size_t>& group_of)
{
    const std::size_t groups = *std::max_element(group_of.begin(), group_of.end()) + 1;
    std::vector<double> sizes(groups, 0);
    for (const std::size_t group : group_of) {
        sizes[group] += 1;
    }
    double total = 0;
    for (std::size_t i = 0; i < group_of.size(); ++i) {
        if (sizes[group_of[i]] < 2) {
            continue;
        }
        std::vector<double> sums(groups, 0);
        for (std::size_t j = 0; j < group_of.size(); ++j) {
            sums[group_of[j]] += distance[i][j];
        }
        const double inside = sums[group_of[i]] / (sizes[group_of[i]] - 1);
        double outside = infinite;
        for (std::size_t group = 0; group < groups; ++group) {
            if (group != group_of[i]) {
                outside = std::min(outside, sums[group] / sizes[group]);
            }
        }
        const double larger = std::max(inside, outside);
        total += larger > 0 && outside < infinite ? (outside - inside) / larger : 0;
    }
    return total / static_cast<double>(group_of.size());
}

} // namespace stemma::analyzer
