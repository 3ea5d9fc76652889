#include "stemma/analyzer/canonical.hpp"
#include "stemma/core/text.hpp"

#include <array>
#include <charconv>

namespace stemma::analyzer {

namespace {

struct Unit {
    std::string_view name;
    double factor;
    Quantity::Unit unit;
};

constexpr auto size = Quantity::Unit::size;
constexpr auto time = Quantity::Unit::time;

constexpr std::array units = {
    Unit{"", 1, Quantity::Unit::none},
    Unit{"%", 1, Quantity::Unit::percent},
    Unit{"b", 1, size},
    Unit{"k", 1024, size},
    Unit{"kb", 1024, size},
    Unit{"kib", 1024, size},
    Unit{"m", 1048576, size},
    Unit{"mb", 1048576, size},
    Unit{"mib", 1048576, size},
    Unit{"g", 1073741824, size},
    Unit{"gb", 1073741824, size},
    Unit{"gib", 1073741824, size},
    Unit{"t", 1099511627776, size},
    Unit{"tb", 1099511627776, size},
    Unit{"tib", 1099511627776, size},
    Unit{"us", 1e-6, time},
    Unit{"ms", 1e-3, time},
    Unit{"s", 1, time},
    Unit{"sec", 1, time},
    Unit{"min", 60, time},
    Unit{"minutes", 60, time},
    Unit{"h", 3600, time},
    Unit{"hour", 3600, time},
    Unit{"hours", 3600, time},
    Unit{"d", 86400, time},
    Unit{"day", 86400, time},
    Unit{"days", 86400, time},
    Unit{"w", 604800, time},
    Unit{"week", 604800, time},
    Unit{"weeks", 604800, time},
};

} // namespace

std::optional<Quantity> quantity_of(std::string_view text)
{
    text = trim(text);
    if (text.empty() || text.front() < '0' || text.front() > '9') {
        return std::nullopt;
    }
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{}) {
        return std::nullopt;
    }
    const std::string name =
        to_lower(trim(text.substr(static_cast<std::size_t>(end - text.data()))));
    for (const Unit& unit : units) {
        if (unit.name == name) {
            return Quantity{value * unit.factor, unit.unit};
        }
    }
    return std::nullopt;
}

} // namespace stemma::analyzer
