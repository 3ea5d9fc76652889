#pragma once

#include <string>

namespace stemma::hooks {

/// The library of this name that was built or installed with this program ("stemma-lane.so"); empty
/// when there is none, or when its path cannot stand in LD_PRELOAD.
std::string companion_library(const std::string& name);

} // namespace stemma::hooks
