#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// Names in folders: short ones in code page 437, long ones in UTF-16. Private to this library.
namespace stemma::fat {

using ShortName = std::array<std::uint8_t, 11>; ///< 8 + 3, filled up with spaces

/// UTF-8 of a short name; `cases` is byte 12 of its entry, in which Windows NT notes lower case.
std::string text_of(const ShortName& name, std::uint8_t cases);

/// The checksum by which long entries know their short one.
std::uint8_t checksum(const ShortName& name) noexcept;

/// Equal but for the case of ASCII letters.
bool same_name(std::string_view a, std::string_view b) noexcept;

/// True when 8.3 in upper case holds exactly this name.
bool is_short(std::string_view name) noexcept;
/// The short name of which is_short() is true.
ShortName short_of(std::string_view name) noexcept;
/// A short name to go beside a long one: "LONGNA~1.TXT", with `number`.
ShortName alias_of(std::string_view name, unsigned number);

} // namespace stemma::fat
