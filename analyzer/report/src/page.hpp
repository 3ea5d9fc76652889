#pragma once

#include "stemma/analyzer/report.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// A VM in the plane, 0..1 in both directions.
struct MapPoint {
    std::string name;
    double x = 0;
    double y = 0;
    bool target = false;
    std::size_t group = 0; ///< 0: in none; else the place in the legend, from 1
};

/// Groups of the fleet, the largest first.
struct MapGroup {
    std::string label;
    std::size_t size = 0;
};

struct FleetMap {
    std::vector<MapPoint> points;
    std::vector<MapGroup> groups;
};

/// Principal coordinates of the VMs by how many settings they differ in; the target is the last
/// point. At most 400 VMs.
FleetMap fleet_map(const Pool& pool, const Sample& target, std::string_view name);

/// The style sheet and what is around it.
std::string_view page_head();

/// For HTML text and attributes.
std::string escaped(std::string_view text);
/// How the peers' values are spread, as one strip and its legend; the target's value is marked.
std::string distribution_strip(const Distribution& distribution);
std::string map_picture(const FleetMap& map);
/// Snapshots and events on one line of time.
std::string timeline_picture(const std::vector<Mark>& past);

} // namespace stemma::analyzer
