#include "versions.hpp"

#include <algorithm>

namespace stemma::lineage {

namespace {

bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

/// "~" sorts before the end, letters before everything else.
int rank(std::string_view text, std::size_t at) noexcept
{
    if (at >= text.size() || is_digit(text[at])) {
        return 0;
    }
    const char c = text[at];
    if (c == '~') {
        return -1;
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter ? c : static_cast<unsigned char>(c) + 256;
}

int compare_words(std::string_view a, std::size_t& i, std::string_view b, std::size_t& j) noexcept
{
    while ((i < a.size() && !is_digit(a[i])) || (j < b.size() && !is_digit(b[j]))) {
        const int difference = rank(a, i) - rank(b, j);
        if (difference != 0) {
            return difference;
        }
        ++i;
        ++j;
    }
    return 0;
}

std::string_view number_at(std::string_view text, std::size_t& at) noexcept
{
    while (at < text.size() && text[at] == '0') {
        ++at;
    }
    const auto from = at;
    while (at < text.size() && is_digit(text[at])) {
        ++at;
    }
    return text.substr(from, at - from);
}

int compare_parts(std::string_view a, std::string_view b) noexcept
{
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() || j < b.size()) {
        if (const int words = compare_words(a, i, b, j); words != 0) {
            return words;
        }
        const auto left = number_at(a, i);
        const auto right = number_at(b, j);
        if (left.size() != right.size()) {
            return left.size() < right.size() ? -1 : 1;
        }
        if (const int digits = left.compare(right); digits != 0) {
            return digits;
        }
    }
    return 0;
}

struct Version {
    std::string_view epoch;
    std::string_view upstream;
    std::string_view revision;
};

Version parts_of(std::string_view text) noexcept
{
    Version version;
    const auto colon = text.find(':');
    if (colon != std::string_view::npos) {
        version.epoch = text.substr(0, colon);
        text.remove_prefix(colon + 1);
    }
    const auto dash = text.rfind('-');
    version.upstream = text.substr(0, dash);
    if (dash != std::string_view::npos) {
        version.revision = text.substr(dash + 1);
    }
    return version;
}

} // namespace

int compare_versions(std::string_view a, std::string_view b) noexcept
{
    const auto left = parts_of(a);
    const auto right = parts_of(b);
    if (const int epoch = compare_parts(left.epoch, right.epoch); epoch != 0) {
        return epoch;
    }
    if (const int upstream = compare_parts(left.upstream, right.upstream); upstream != 0) {
        return upstream;
    }
    return compare_parts(left.revision, right.revision);
}

} // namespace stemma::lineage
