#include "stemma/analyzer/cluster.hpp"
#include "stemma/analyzer/matrix.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "page.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t max_points = 400;

using Table = std::vector<std::vector<double>>;

/// Adds one for every two VMs that say different things of a node. Only who leaves the majority is
/// compared with all.
void count_differences(const std::vector<Code>& codes, Code majority, Table& matrix)
{
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (codes[i] == majority) {
            continue;
        }
        for (std::size_t j = 0; j < codes.size(); ++j) {
            const bool once = codes[j] == majority || i < j;
            if (codes[i] != codes[j] && once) {
                matrix[i][j] += 1;
                matrix[j][i] += 1;
            }
        }
    }
}

/// Settings in which two VMs differ, the target last; the square root keeps large upgrades from
/// pressing all others into one point.
Table pairwise(const Pool& pool, const std::vector<VmIndex>& vms, const Sample& target)
{
    const std::size_t n = vms.size() + 1;
    Table matrix(n, std::vector<double>(n, 0));
    std::vector<Code> own(pool.nodes(), code_absent);
    for (const Observation& observation : target.seen) {
        own[observation.node] = observation.code;
    }
    std::vector<Code> codes(n);
    for (NodeId id = 1; id < pool.nodes(); ++id) {
        const Pool::Node& node = pool.node(id);
        if (node.operational || (node.exceptions.empty() && own[id] == node.majority)) {
            continue;
        }
        for (std::size_t i = 0; i < vms.size(); ++i) {
            codes[i] = pool.code_of(id, vms[i]);
        }
        codes[n - 1] = own[id];
        count_differences(codes, node.majority, matrix);
    }
    for (auto& row : matrix) {
        for (double& value : row) {
            value = std::sqrt(value);
        }
    }
    return matrix;
}

/// −½ J D² J: what principal coordinates are the eigenvectors of.
Table centred(const Table& distance)
{
    const std::size_t n = distance.size();
    Table result(n, std::vector<double>(n, 0));
    std::vector<double> mean(n, 0);
    double all = 0;
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            mean[i] += distance[i][j] * distance[i][j] / static_cast<double>(n);
        }
        all += mean[i] / static_cast<double>(n);
    }
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            result[i][j] = -0.5 * (distance[i][j] * distance[i][j] - mean[i] - mean[j] + all);
        }
    }
    return result;
}

/// The strongest eigenvector, scaled by the root of its value; taken out of the matrix.
std::vector<double> take_axis(Table& matrix)
{
    const std::size_t n = matrix.size();
    std::vector<double> axis(n);
    for (std::size_t i = 0; i < n; ++i) {
        axis[i] = 1 + static_cast<double>(i % 7); // any start that is not an eigenvector by chance
    }
    double length = 0;
    for (int round = 0; round < 60; ++round) {
        std::vector<double> next(n, 0);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < n; ++j) {
                next[i] += matrix[i][j] * axis[j];
            }
        }
        length = 0;
        for (const double value : next) {
            length += value * value;
        }
        length = std::sqrt(length);
        if (length < 1e-9) {
            return std::vector<double>(n, 0);
        }
        for (std::size_t i = 0; i < n; ++i) {
            axis[i] = next[i] / length;
        }
    }
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            matrix[i][j] -= length * axis[i] * axis[j];
        }
    }
    for (double& value : axis) {
        value *= std::sqrt(length);
    }
    return axis;
}

std::vector<double> within_unit(const std::vector<double>& axis)
{
    const auto [low, high] = std::minmax_element(axis.begin(), axis.end());
    const double span = *high - *low;
    std::vector<double> result;
    result.reserve(axis.size());
    for (const double value : axis) {
        result.push_back(span > 1e-9 ? (value - *low) / span : 0.5);
    }
    return result;
}

/// Groups of VMs that are configured alike, as a legend and by name of the VM.
void add_groups(const Pool& pool, FleetMap& map)
{
    if (pool.live() < 4 || pool.live() > max_points) {
        return;
    }
    const Matrix matrix = matrix_of(pool, {.operational = false, .constant = false});
    std::map<std::string, std::size_t, std::less<>> group_of;
    for (const Cluster& group : cluster(matrix, std::nullopt).clusters) {
        std::string label = "no setting in common that others lack";
        if (!group.defining.empty()) {
            const Defining& first = group.defining.front();
            label = first.feature;
            label += !first.value                ? " not there"
                     : *first.value == "present" ? std::string()
                                                 : " = " + *first.value;
        }
        map.groups.push_back({std::move(label), group.members.size()});
        for (const std::size_t row : group.members) {
            group_of[matrix.vms[row]] = map.groups.size();
        }
    }
    for (MapPoint& point : map.points) {
        const auto found = group_of.find(point.name);
        point.group = found == group_of.end() || point.target ? 0 : found->second;
    }
}

} // namespace

FleetMap fleet_map(const Pool& pool, const Sample& target, std::string_view name)
{
    std::vector<VmIndex> vms;
    for (VmIndex vm = 0; vm < pool.end() && vms.size() < max_points; ++vm) {
        if (pool.is_live(vm)) {
            vms.push_back(vm);
        }
    }
    Table matrix = centred(pairwise(pool, vms, target));
    const auto x = within_unit(take_axis(matrix));
    const auto y = within_unit(take_axis(matrix));
    FleetMap map;
    for (std::size_t i = 0; i < vms.size(); ++i) {
        map.points.push_back({pool.name_of(vms[i]), x[i], y[i], false, 0});
    }
    map.points.push_back({std::string(name), x.back(), y.back(), true, 0});
    add_groups(pool, map);
    return map;
}

} // namespace stemma::analyzer
