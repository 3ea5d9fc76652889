#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace stemma {

namespace {

constexpr std::string_view blanks = " \t\r\n\f\v";
constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Length of the valid UTF-8 sequence at the front, 0 when there is none; `point` gets its value.
std::size_t utf8_sequence(std::string_view bytes, std::uint32_t& point) noexcept
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned first = byte(0);
    if (first < 0x80) {
        point = first;
        return 1;
    }
    std::size_t length = 0;
    std::uint32_t smallest = 0;
    if ((first & 0xE0U) == 0xC0) {
        length = 2;
        smallest = 0x80;
        point = first & 0x1FU;
    } else if ((first & 0xF0U) == 0xE0) {
        length = 3;
        smallest = 0x800;
        point = first & 0x0FU;
    } else if ((first & 0xF8U) == 0xF0) {
        length = 4;
        smallest = 0x10000;
        point = first & 0x07U;
    } else {
        return 0;
    }
    if (bytes.size() < length) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) {
            return 0;
        }
        point = (point << 6U) | (byte(i) & 0x3FU);
    }
    const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < smallest || point > 0x10FFFF || surrogate ? 0 : length;
}

bool is_wide(std::uint32_t point) noexcept
{
    return (point >= 0x1100 && point <= 0x115F) || (point >= 0x2E80 && point <= 0xA4CF) ||
           (point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xF900 && point <= 0xFAFF) ||
           (point >= 0xFE30 && point <= 0xFE6F) || (point >= 0xFF00 && point <= 0xFF60) ||
           (point >= 0xFFE0 && point <= 0xFFE6) || (point >= 0x1F300 && point <= 0x1FAFF) ||
           (point >= 0x20000 && point <= 0x3FFFD);
}

/// Matches "[…]" at pattern[at]; moves `at` behind it. A "[" that is never closed is itself.
bool match_class(std::string_view pattern, std::size_t& at, char letter) noexcept
{
    std::size_t i = at + 1;
    const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
    if (negated) {
        ++i;
    }
    bool found = false;
    for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
        const char low = pattern[i];
        char high = low;
        if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
            high = pattern[i + 2];
            i += 2;
        }
        ++i;
        found = found || (letter >= low && letter <= high);
    }
    if (i >= pattern.size()) {
        ++at;
        return letter == '[';
    }
    at = i + 1;
    return found != negated;
}

/// Matches one pattern element that is not a star; moves `at` behind it.
bool match_one(std::string_view pattern, std::size_t& at, char letter, bool path_aware) noexcept
{
    const char element = pattern[at];
    if (element == '?') {
        ++at;
        return !(path_aware && letter == '/');
    }
    if (element == '[') {
        return match_class(pattern, at, letter) && !(path_aware && letter == '/');
    }
    if (element == '\\' && at + 1 < pattern.size()) {
        ++at;
    }
    return pattern[at++] == letter;
}

/// One match of a pattern. Stars are tried at their shortest first; on a mismatch the last star
/// takes one more letter. Two places to go back to are enough: the last "*", and the last "**",
/// which alone crosses "/".
class GlobMatcher {
public:
    GlobMatcher(std::string_view pattern, std::string_view text, bool path_aware) noexcept
        : pattern_(pattern), text_(text), path_aware_(path_aware)
    {
    }

    bool matches() noexcept
    {
        while (t_ < text_.size()) {
            if (at_star()) {
                take_star();
            } else if (p_ < pattern_.size() && match_one(pattern_, p_, text_[t_], path_aware_)) {
                ++t_;
            } else if (!go_back()) {
                return false;
            }
        }
        while (at_star()) {
            ++p_;
        }
        return p_ == pattern_.size();
    }

private:
    struct Star {
        std::size_t pattern = std::string_view::npos; ///< behind the star
        std::size_t text = 0;                         ///< where its match ends so far
        [[nodiscard]] bool set() const noexcept { return pattern != std::string_view::npos; }
    };

    [[nodiscard]] bool at_star() const noexcept
    {
        return p_ < pattern_.size() && pattern_[p_] == '*';
    }

    void take_star() noexcept
    {
        const bool doubled = p_ + 1 < pattern_.size() && pattern_[p_ + 1] == '*';
        p_ += doubled ? 2 : 1;
        if (!doubled || !path_aware_) {
            star_ = {p_, t_};
            return;
        }
        double_star_ = {p_, t_};
        star_ = {};
        // "a/**/b" also matches "a/b": the slash behind the stars may stand for nothing.
        const bool at_start = t_ == 0 || text_[t_ - 1] == '/';
        if (at_start && p_ < pattern_.size() && pattern_[p_] == '/') {
            double_star_.pattern = p_;
            ++p_;
            empty_ = true;
        }
    }

    bool go_back() noexcept
    {
        if (star_.set() && !(path_aware_ && text_[star_.text] == '/')) {
            p_ = star_.pattern;
            t_ = ++star_.text;
            return true;
        }
        if (double_star_.set()) {
            star_ = {};
            p_ = double_star_.pattern;
            if (empty_) {
                empty_ = false; // the stars were tried as nothing: now as they stand
                t_ = double_star_.text;
            } else {
                t_ = ++double_star_.text;
            }
            return true;
        }
        return false;
    }

    std::string_view pattern_;
    std::string_view text_;
    bool path_aware_;
    std::size_t p_ = 0;
    std::size_t t_ = 0;
    Star star_;
    Star double_star_;
    bool empty_ = false; ///< the last "**/" is being tried as nothing
};

} // namespace

std::vector<std::string_view> split(std::string_view text, char separator)
{
    std::vector<std::string_view> parts;
    for (;;) {
        const auto at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(at + 1);
    }
}

std::vector<std::string_view> split_words(std::string_view text)
{
    std::vector<std::string_view> words;
    for (;;) {
        const auto start = text.find_first_not_of(" \t");
        if (start == std::string_view::npos) {
            return words;
        }
        text.remove_prefix(start);
        const auto end = text.find_first_of(" \t");
        words.push_back(text.substr(0, end));
        if (end == std::string_view::npos) {
            return words;
        }
        text.remove_prefix(end);
    }
}

std::vector<std::string_view> split_lines(std::string_view text)
{
    auto lines = split(text, '\n');
    if (!lines.empty() && lines.back().empty()) {
        lines.pop_back();
    }
    for (auto& line : lines) {
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
    }
    return lines;
}

std::string_view trim(std::string_view text) noexcept
{
    const auto start = text.find_first_not_of(blanks);
    if (start == std::string_view::npos) {
        return {};
    }
    return text.substr(start, text.find_last_not_of(blanks) - start + 1);
}

std::string join(std::span<const std::string> parts, std::string_view separator)
{
    return fmt::format("{}", fmt::join(parts.begin(), parts.end(), separator));
}

std::string to_lower(std::string_view text)
{
    std::string lower(text);
    for (char& letter : lower) {
        if (letter >= 'A' && letter <= 'Z') {
            letter = static_cast<char>(letter - 'A' + 'a');
        }
    }
    return lower;
}

bool is_digits(std::string_view text) noexcept
{
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) noexcept
{
    std::uint64_t value = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || stop != end || !is_digits(text)) {
        return std::nullopt;
    }
    return value;
}

std::string to_hex(std::string_view bytes)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        text += digits[value >> 4U];
        text += digits[value & 0xFU];
    }
    return text;
}

int hex_value(char digit) noexcept
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

std::optional<std::string> from_hex(std::string_view text)
{
    if (text.size() % 2 != 0) {
        return std::nullopt;
    }
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_value(text[i]);
        const int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        bytes += static_cast<char>(high * 16 + low);
    }
    return bytes;
}

std::string to_base64(std::string_view bytes)
{
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto left = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            group = (group << 8U) | (j < left ? static_cast<unsigned char>(bytes[i + j]) : 0U);
        }
        for (std::size_t j = 0; j < 4; ++j) {
            text += j <= left ? base64_digits[(group >> (18U - 6U * j)) & 0x3FU] : '=';
        }
    }
    return text;
}

std::optional<std::string> from_base64(std::string_view text)
{
    if (text.size() % 4 != 0) {
        return std::nullopt;
    }
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        const bool last = i + 4 == text.size();
        std::size_t padding = 0;
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            const char digit = text[i + j];
            if (digit == '=' && last && j >= 2) {
                ++padding;
                group <<= 6U;
                continue;
            }
            const auto value = base64_digits.find(digit);
            if (value == std::string_view::npos || padding != 0) {
                return std::nullopt;
            }
            group = (group << 6U) | static_cast<std::uint32_t>(value);
        }
        for (std::size_t j = 0; j < 3 - padding; ++j) {
            bytes += static_cast<char>(group >> (16U - 8U * j));
        }
    }
    return bytes;
}

bool is_utf8(std::string_view bytes) noexcept
{
    while (!bytes.empty()) {
        std::uint32_t point = 0;
        const auto length = utf8_sequence(bytes, point);
        if (length == 0) {
            return false;
        }
        bytes.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view bytes)
{
    std::string text;
    while (!bytes.empty()) {
        std::uint32_t point = 0;
        const auto length = utf8_sequence(bytes, point);
        const bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
        if (length != 0 && !control) {
            text += bytes.substr(0, length);
        } else if (length != 0 && point == '\n') {
            text += "\\n";
        } else if (length != 0 && point == '\t') {
            text += "\\t";
        } else {
            const auto count = std::max<std::size_t>(length, 1);
            for (std::size_t i = 0; i < count; ++i) {
                text += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[i]));
            }
        }
        bytes.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return text;
}

std::size_t display_width(std::string_view text) noexcept
{
    std::size_t width = 0;
    while (!text.empty()) {
        std::uint32_t point = 0;
        const auto length = utf8_sequence(text, point);
        const bool combining = length != 0 && point >= 0x300 && point <= 0x36F;
        width += combining ? 0U : length != 0 && is_wide(point) ? 2U : 1U;
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return width;
}

bool glob_match(std::string_view pattern, std::string_view text, bool path_aware) noexcept
{
    return GlobMatcher(pattern, text, path_aware).matches();
}

std::size_t edit_distance(std::string_view a, std::string_view b)
{
    const auto width = b.size() + 1;
    std::vector<std::size_t> before_last(width);
    std::vector<std::size_t> last(width);
    std::vector<std::size_t> current(width);
    for (std::size_t j = 0; j < width; ++j) {
        last[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            current[j] = std::min({last[j] + 1, current[j - 1] + 1, last[j - 1] + cost});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                current[j] = std::min(current[j], before_last[j - 2] + 1);
            }
        }
        before_last.swap(last);
        last.swap(current);
    }
    return last[b.size()];
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates)
{
    const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
    std::optional<std::string> best;
    std::size_t best_distance = allowed + 1;
    for (const auto& candidate : candidates) {
        const auto distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string human_size(std::uint64_t bytes)
{
    constexpr std::array<std::string_view, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < units.size()) {
        value /= 1024.0;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string shell_quote(std::string_view word)
{
    constexpr std::string_view plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
    if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos) {
        return std::string(word);
    }
    std::string quoted = "'";
    for (const char letter : word) {
        if (letter == '\'') {
            quoted += "'\\''";
        } else {
            quoted += letter;
        }
    }
    return quoted + "'";
}

std::string shell_join(std::span<const std::string> words)
{
    std::string line;
    for (const auto& word : words) {
        if (!line.empty()) {
            line += ' ';
        }
        line += shell_quote(word);
    }
    return line;
}

} // namespace stemma
