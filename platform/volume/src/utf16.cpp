#include "stemma/volume/utf16.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

namespace stemma::volume {

void append_utf8(std::string& text, std::uint32_t point)
{
    const auto add = [&](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (point < 0x80) {
        add(point);
    } else if (point < 0x800) {
        add(0xC0U | (point >> 6U));
        add(0x80U | (point & 0x3FU));
    } else if (point < 0x10000) {
        add(0xE0U | (point >> 12U));
        add(0x80U | ((point >> 6U) & 0x3FU));
        add(0x80U | (point & 0x3FU));
    } else {
        add(0xF0U | (point >> 18U));
        add(0x80U | ((point >> 12U) & 0x3FU));
        add(0x80U | ((point >> 6U) & 0x3FU));
        add(0x80U | (point & 0x3FU));
    }
}

std::string utf8_of(std::span<const std::uint16_t> units)
{
    std::string text;
    for (std::size_t i = 0; i < units.size(); ++i) {
        const std::uint32_t unit = units[i];
        const bool high = unit >= 0xD800 && unit < 0xDC00;
        const bool pair =
            high && i + 1 < units.size() && units[i + 1] >= 0xDC00 && units[i + 1] < 0xE000;
        if (pair) {
            append_utf8(text, 0x10000 + ((unit - 0xD800) << 10U) + (units[i + 1] - 0xDC00U));
            ++i;
        } else {
            append_utf8(text, unit >= 0xD800 && unit < 0xE000 ? 0xFFFD : unit);
        }
    }
    return text;
}

std::vector<std::uint16_t> utf16_of(std::string_view text)
{
    if (!is_utf8(text)) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} is not UTF-8, as a name must be here", printable(text)));
    }
    std::vector<std::uint16_t> units;
    for (std::size_t i = 0; i < text.size();) {
        const auto first = static_cast<std::uint8_t>(text[i]);
        const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        std::uint32_t point = length == 1 ? first : first & (0x7FU >> length);
        for (std::size_t k = 1; k < length && i + k < text.size(); ++k) {
            point = (point << 6U) | (static_cast<std::uint8_t>(text[i + k]) & 0x3FU);
        }
        i += length;
        if (point >= 0x10000) {
            units.push_back(static_cast<std::uint16_t>(0xD800 + ((point - 0x10000) >> 10U)));
            units.push_back(static_cast<std::uint16_t>(0xDC00 + ((point - 0x10000) & 0x3FFU)));
        } else {
            units.push_back(static_cast<std::uint16_t>(point));
        }
    }
    return units;
}

} // namespace stemma::volume
