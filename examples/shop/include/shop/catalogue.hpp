#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace shop {

struct Product {
    std::string_view code;
    std::string_view name;
    std::int64_t cents = 0; ///< one piece, without tax
};

/// Every product, by code. Its table is made from data/products.csv in each build.
std::span<const Product> all_products();

/// nullptr when there is none of that code.
const Product* find_product(std::string_view code);

} // namespace shop
