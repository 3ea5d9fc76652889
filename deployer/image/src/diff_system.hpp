#pragma once

#include "stemma/image/diff.hpp"

#include <vector>

namespace stemma::image {

/// What two systems boot and what packages they have; their files are another matter.
std::vector<Difference> compare_systems(volume::Filesystem& before, volume::Filesystem& after);

} // namespace stemma::image
