#pragma once

#include <string>
#include <string_view>

#include "shop/config.hpp"

namespace shop {

/// What shopd says to one line of a customer:
///   version             "shopd" and its version
///   list                every code, one per line
///   price CODE [PIECES] "3 x Rye bread: 11.42 EUR"
std::string answer(std::string_view line, const Config& config);

} // namespace shop
