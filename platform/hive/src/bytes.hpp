#pragma once

#include "stemma/volume/utf16.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::hive {

/// Little-endian, at a place that is known to be there.
inline std::uint32_t number_at(std::string_view data, std::size_t at, std::size_t length)
{
    std::uint32_t value = 0;
    for (std::size_t i = length; i > 0; --i) {
        value = (value << 8U) | static_cast<unsigned char>(data[at + i - 1]);
    }
    return value;
}
inline std::uint32_t u16(std::string_view data, std::size_t at)
{
    return number_at(data, at, 2);
}
inline std::uint32_t u32(std::string_view data, std::size_t at)
{
    return number_at(data, at, 4);
}

inline std::string utf8_of_utf16(std::string_view bytes)
{
    std::vector<std::uint16_t> units;
    units.reserve(bytes.size() / 2);
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        units.push_back(static_cast<std::uint16_t>(u16(bytes, i)));
    }
    return volume::utf8_of(units);
}

/// Names of one byte per letter are Latin-1.
inline std::string utf8_of_latin(std::string_view bytes)
{
    std::string text;
    for (const char letter : bytes) {
        volume::append_utf8(text, static_cast<unsigned char>(letter));
    }
    return text;
}

} // namespace stemma::hive
