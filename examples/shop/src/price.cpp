#include "shop/price.hpp"

namespace shop {

std::int64_t price(const Product& product, std::int64_t pieces, const Config& config)
{
    const auto net = product.cents * pieces;
    const auto hundredths = net * (100 + static_cast<std::int64_t>(config.tax_percent));
    return (hundredths + (config.round_up ? 99 : 50)) / 100;
}

std::string as_money(std::int64_t cents, const std::string& currency)
{
    const auto rest = std::to_string(cents % 100);
    return std::to_string(cents / 100) + (rest.size() == 1 ? ".0" : ".") + rest + " " + currency;
}

} // namespace shop
