#pragma once

#include "stemma/deployer/plan.hpp"

#include <string>

#include "placement.hpp"

namespace stemma::deployer {

/// What is to be done with one VM whose spec and host are known: fills its action, its reason, and
/// what it has now.
void decide(PlannedVm& planned,
            const Sightings& sightings,
            const World& world,
            const std::string& checks);

/// Nothing can be done with it.
void block(PlannedVm& planned, std::string why);

} // namespace stemma::deployer
