#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::volume {

/// UTF-8 of the names that Windows' file systems keep. Halves of a broken pair become U+FFFD.
std::string utf8_of(std::span<const std::uint16_t> units);

/// throws  usage: not UTF-8
std::vector<std::uint16_t> utf16_of(std::string_view text);

void append_utf8(std::string& text, std::uint32_t point);

} // namespace stemma::volume
