#include "shop/answer.hpp"

#include <sstream>

#include "shop/catalogue.hpp"
#include "shop/price.hpp"

namespace shop {

namespace {

std::string quote(std::istringstream& words, const Config& config)
{
    std::string code;
    std::int64_t pieces = 1;
    if (!(words >> code)) {
        return "price of what?";
    }
    if (!(words >> pieces) && !words.eof()) {
        return "how many?";
    }
    if (pieces < 1 || pieces > 1'000'000) {
        return "we sell 1 to 1000000 pieces";
    }
    const auto* product = find_product(code);
    if (product == nullptr) {
        return "we have no " + code;
    }
    return std::to_string(pieces) + " x " + std::string(product->name) + ": " +
           as_money(price(*product, pieces, config), config.currency);
}

} // namespace

std::string answer(std::string_view line, const Config& config)
{
    std::istringstream words{std::string(line)};
    std::string verb;
    words >> verb;
    if (verb == "version") {
        return "shopd " SHOP_VERSION;
    }
    if (verb == "price") {
        return quote(words, config);
    }
    if (verb == "list") {
        std::string codes;
        for (const auto& product : all_products()) {
            codes += (codes.empty() ? "" : "\n") + std::string(product.code);
        }
        return codes;
    }
    return "version, list, or price CODE [PIECES]";
}

} // namespace shop
