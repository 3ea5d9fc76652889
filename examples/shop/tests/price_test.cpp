#include <iostream>

#include "shop/answer.hpp"
#include "shop/price.hpp"

namespace {

int failures = 0;

void expect(const std::string& got, const std::string& wanted)
{
    if (got != wanted) {
        std::cerr << "got \"" << got << "\", wanted \"" << wanted << "\"\n";
        ++failures;
    }
}

} // namespace

int main()
{
    shop::Config config;
    expect(shop::answer("price bread 3", config), "3 x Rye bread: 11.42 EUR");
    expect(shop::answer("price apple", config), "1 x Apple from the old tree: 0.42 EUR");
    config.round_up = true;
    expect(shop::answer("price bread", config), "1 x Rye bread: 3.81 EUR");
    expect(shop::answer("price unicorn", config), "we have no unicorn");
    expect(shop::answer("price bread many", config), "how many?");
    expect(shop::as_money(105, "EUR"), "1.05 EUR");
    return failures == 0 ? 0 : 1;
}
