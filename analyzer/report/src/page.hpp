#pragma once

#include "stemma/analyzer/report.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// Text of a VM made harmless inside HTML and inside attributes; bytes that are not UTF-8 as \xNN.
std::string escaped(std::string_view text);

/// Where a VM lies on the fleet's map, 0..1.
struct MapPoint {
    std::string name;
    double x = 0;
    double y = 0;
    bool target = false;
};

/// Principal coordinates: VMs that differ in few settings lie near each other. At most 400 VMs.
std::vector<MapPoint> fleet_map(const Pool& pool, const Sample& target, std::string_view name);

/// A strip of all peers, one part per value, with the target's place in it; as SVG.
std::string distribution_strip(const Distribution& distribution);
std::string map_picture(const std::vector<MapPoint>& points);

} // namespace stemma::analyzer
