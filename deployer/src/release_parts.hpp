#pragma once

#include "stemma/config/yaml.hpp"
#include "stemma/deployer/release.hpp"

#include <chrono>

/// The parts of a release file, each from its node. All throw config with a place.
namespace stemma::deployer {

std::uint64_t number_of(const config::Node& node, std::int64_t low, std::int64_t high);
std::chrono::seconds seconds_of(const config::Node& node, std::int64_t low, std::int64_t high);

/// `vms`, with `defaults` under each of them.
std::vector<VmWanted> vms_of(const config::Node& root);
/// `verify`
Verification verification_of(const config::Node& root);

} // namespace stemma::deployer
