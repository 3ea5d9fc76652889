#pragma once

#include <set>
#include <string>
#include <string_view>

namespace stemma::analyzer {

/// An ASCII letter or digit.
constexpr bool is_word(char byte) noexcept
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

/// Puts placeholders for UUIDs, MAC addresses, long hexadecimal numbers, keys, password hashes and
/// points in time. A "UUID=" that none of the `disks` has is kept when they are known.
std::string replace_identifiers(std::string_view text, const std::set<std::string>& disks);

} // namespace stemma::analyzer
