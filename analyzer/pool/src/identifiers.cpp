#include "identifiers.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>
#include <utility>

namespace stemma::analyzer {

namespace {

bool is_hex(char byte)
{
    return hex_value(byte) >= 0;
}

bool is_base64(char byte)
{
    return is_word(byte) || byte == '+' || byte == '/' || byte == '=' || byte == '_';
}

/// "8-4-4-4-12" hexadecimal digits at `at`.
bool uuid_at(std::string_view text, std::size_t at)
{
    if (at + 36 > text.size() || (at + 36 < text.size() && is_word(text[at + 36]))) {
        return false;
    }
    for (std::size_t i = 0; i < 36; ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[at + i] != '-' : !is_hex(text[at + i])) {
            return false;
        }
    }
    return true;
}

bool mac_at(std::string_view text, std::size_t at)
{
    if (at + 17 > text.size()) {
        return false;
    }
    for (std::size_t i = 0; i < 17; ++i) {
        if (i % 3 == 2 ? text[at + i] != ':' : !is_hex(text[at + i])) {
            return false;
        }
    }
    return at + 17 == text.size() || (!is_word(text[at + 17]) && text[at + 17] != ':');
}

std::size_t run_of(std::string_view text, std::size_t at, bool (*belongs)(char))
{
    std::size_t end = at;
    while (end < text.size() && belongs(text[end])) {
        ++end;
    }
    return end - at;
}

bool any_within(std::string_view text, char low, char high)
{
    return std::any_of(text.begin(), text.end(), [&](char c) { return c >= low && c <= high; });
}

/// Length of "2026-11-21", with a time behind it or not; 0 when there is none.
std::size_t date_at(std::string_view text, std::size_t at)
{
    if (at + 10 > text.size() || (text[at] != '1' && text[at] != '2')) {
        return 0;
    }
    for (std::size_t i = 0; i < 10; ++i) {
        const char byte = text[at + i];
        if (i == 4 || i == 7 ? byte != '-' : byte < '0' || byte > '9') {
            return 0;
        }
    }
    std::size_t end = at + 10;
    while (end < text.size() && (is_word(text[end]) || text[end] == ':' || text[end] == '.')) {
        ++end;
    }
    return end - at;
}

using Found = std::pair<std::size_t, std::string_view>;

/// A placeholder for what begins at `at`, and the length of it; length 0: nothing does.
Found identifier_at(std::string_view text, std::size_t at, const std::set<std::string>& disks)
{
    if (text[at] == '$') {
        const bool crypt = at + 12 < text.size() && is_word(text[at + 1]) &&
                           (text[at + 2] == '$' || text[at + 3] == '$');
        return crypt ? Found{text.size() - at, "⟨HASH⟩"} : Found{0, {}};
    }
    if (uuid_at(text, at)) {
        const bool foreign = !disks.empty() && text.substr(0, at).ends_with("UUID=") &&
                             !disks.contains(to_lower(text.substr(at, 36)));
        return {36U, foreign ? text.substr(at, 36) : "⟨UUID⟩"};
    }
    if (mac_at(text, at)) {
        return {17, "⟨MAC⟩"};
    }
    if (const std::size_t date = date_at(text, at); date > 0) {
        return {date, "⟨TIME⟩"};
    }
    const std::size_t hex = run_of(text, at, is_hex);
    const bool ends = at + hex == text.size() || !is_word(text[at + hex]);
    const std::string_view digits = text.substr(at, hex);
    if (hex >= 24 && ends && any_within(digits, '0', '9')) {
        return {hex, "⟨HEX⟩"};
    }
    if (hex == 10 && ends && digits.front() == '1' && is_digits(digits)) {
        return {hex, "⟨TIME⟩"};
    }
    const std::string_view key = text.substr(at, run_of(text, at, is_base64));
    const bool is_key = key.size() >= 40 && any_within(key, '0', '9') &&
                        any_within(key, 'A', 'Z') && std::count(key.begin(), key.end(), '/') < 4;
    return is_key ? Found{key.size(), "⟨KEY⟩"} : Found{0, {}};
}

} // namespace

std::string replace_identifiers(std::string_view text, const std::set<std::string>& disks)
{
    if (!any_within(text, '0', '9')) {
        return std::string(text);
    }
    std::string out;
    out.reserve(text.size());
    std::size_t at = 0;
    while (at < text.size()) {
        const bool starts =
            (is_word(text[at]) && (at == 0 || !is_word(text[at - 1]))) || text[at] == '$';
        const Found found = starts ? identifier_at(text, at, disks) : Found{0, {}};
        if (found.first > 0) {
            out += found.second;
            at += found.first;
            continue;
        }
        out += text[at++];
    }
    return out;
}

} // namespace stemma::analyzer
