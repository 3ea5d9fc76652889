#include "shop/catalogue.hpp"

#include <algorithm>

namespace shop {

const Product* find_product(std::string_view code)
{
    const auto products = all_products();
    const auto found = std::ranges::lower_bound(products, code, {}, &Product::code);
    return found != products.end() && found->code == code ? &*found : nullptr;
}

} // namespace shop
