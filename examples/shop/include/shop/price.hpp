#pragma once

#include <cstdint>
#include <string>

#include "shop/catalogue.hpp"
#include "shop/config.hpp"

namespace shop {

/// What `pieces` of a product cost, in cents, tax included.
std::int64_t price(const Product& product, std::int64_t pieces, const Config& config);

/// "12.34 EUR"
std::string as_money(std::int64_t cents, const std::string& currency);

} // namespace shop
