#include "names.hpp"

#include "stemma/volume/utf16.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace stemma::fat {

namespace {

/// The upper half of code page 437.
constexpr std::array<std::uint16_t, 128> upper_half = {
    0x00C7, 0x00FC, 0x00E9, 0x00E2, 0x00E4, 0x00E0, 0x00E5, 0x00E7, 0x00EA, 0x00EB, 0x00E8, 0x00EF,
    0x00EE, 0x00EC, 0x00C4, 0x00C5, 0x00C9, 0x00E6, 0x00C6, 0x00F4, 0x00F6, 0x00F2, 0x00FB, 0x00F9,
    0x00FF, 0x00D6, 0x00DC, 0x00A2, 0x00A3, 0x00A5, 0x20A7, 0x0192, 0x00E1, 0x00ED, 0x00F3, 0x00FA,
    0x00F1, 0x00D1, 0x00AA, 0x00BA, 0x00BF, 0x2310, 0x00AC, 0x00BD, 0x00BC, 0x00A1, 0x00AB, 0x00BB,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255D, 0x255C, 0x255B, 0x2510, 0x2514, 0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0x255E, 0x255F,
    0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256C, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256B, 0x256A, 0x2518, 0x250C, 0x2588, 0x2584, 0x258C, 0x2590, 0x2580,
    0x03B1, 0x00DF, 0x0393, 0x03C0, 0x03A3, 0x03C3, 0x00B5, 0x03C4, 0x03A6, 0x0398, 0x03A9, 0x03B4,
    0x221E, 0x03C6, 0x03B5, 0x2229, 0x2261, 0x00B1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00F7, 0x2248,
    0x00B0, 0x2219, 0x00B7, 0x221A, 0x207F, 0x00B2, 0x25A0, 0x00A0};

constexpr std::string_view short_signs = "$%'-_@~`!(){}^#&";

char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

char upper(char c) noexcept
{
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool is_short_letter(char c) noexcept
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           short_signs.find(c) != std::string_view::npos;
}

std::string part_of(std::span<const std::uint8_t> bytes, bool lower_case)
{
    std::string text;
    for (const std::uint8_t byte : bytes) {
        if (byte >= 0x80) {
            volume::append_utf8(text, upper_half[byte - 0x80U]);
        } else {
            const char c = static_cast<char>(byte);
            text.push_back(lower_case ? lower(c) : c);
        }
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

struct Split {
    std::string_view base;
    std::string_view extension;
};

Split split_name(std::string_view name) noexcept
{
    const auto dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) {
        return {.base = name, .extension = {}};
    }
    return {.base = name.substr(0, dot), .extension = name.substr(dot + 1)};
}

} // namespace

std::string text_of(const ShortName& name, std::uint8_t cases)
{
    ShortName copy = name;
    if (copy[0] == 0x05) {
        copy[0] = 0xE5; // which would mean "deleted"
    }
    const std::span all(copy);
    std::string text = part_of(all.first(8), (cases & 0x08U) != 0);
    const std::string extension = part_of(all.subspan(8), (cases & 0x10U) != 0);
    return extension.empty() ? text : text + "." + extension;
}

std::uint8_t checksum(const ShortName& name) noexcept
{
    std::uint8_t sum = 0;
    for (const std::uint8_t byte : name) {
        sum = static_cast<std::uint8_t>(((sum & 1U) << 7U) + (sum >> 1U) + byte);
    }
    return sum;
}

bool same_name(std::string_view a, std::string_view b) noexcept
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return lower(x) == lower(y);
    });
}

bool is_short(std::string_view name) noexcept
{
    const auto [base, extension] = split_name(name);
    return !base.empty() && base.size() <= 8 && extension.size() <= 3 && name.back() != '.' &&
           std::all_of(base.begin(), base.end(), is_short_letter) &&
           std::all_of(extension.begin(), extension.end(), is_short_letter);
}

ShortName short_of(std::string_view name) noexcept
{
    ShortName result;
    result.fill(' ');
    const auto [base, extension] = split_name(name);
    std::copy_n(base.begin(), std::min<std::size_t>(base.size(), 8), result.begin());
    std::copy_n(extension.begin(), std::min<std::size_t>(extension.size(), 3), result.begin() + 8);
    return result;
}

ShortName alias_of(std::string_view name, unsigned number)
{
    const auto [base, extension] = split_name(name);
    const auto squeeze = [](std::string_view part, std::size_t most) {
        std::string text;
        for (const char c : part) {
            const char big = upper(c);
            if (text.size() < most && c != '.' && c != ' ') {
                text.push_back(is_short_letter(big) ? big : '_');
            }
        }
        return text;
    };
    const std::string tail = fmt::format("~{}", number);
    std::string front = squeeze(base, 8 - tail.size());
    front += tail;
    const std::string back = squeeze(extension, 3);
    ShortName result;
    result.fill(' ');
    std::copy(front.begin(), front.end(), result.begin());
    std::copy(back.begin(), back.end(), result.begin() + 8);
    return result;
}

} // namespace stemma::fat
