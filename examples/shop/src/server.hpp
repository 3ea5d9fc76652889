#pragma once

#include "shop/config.hpp"

namespace shop {

/// Serves until the process is told to end. One line in, one answer out.
/// throws  std::system_error: the address cannot be had
void serve(const Config& config);

} // namespace shop
