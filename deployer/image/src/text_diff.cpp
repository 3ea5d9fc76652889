#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/diff.hpp"

#include <algorithm>

namespace stemma::image {

namespace {

constexpr std::size_t most_bytes = std::size_t{1} << 20U;
constexpr std::size_t most_lines = 4000; ///< per side, between the equal head and tail
constexpr std::size_t context_lines = 3;

using Lines = std::vector<std::string_view>;

enum class Side : char { both = ' ', before = '-', after = '+' };

struct Step {
    Side side;
    std::string_view line;
};

/// The longest common subsequence by the usual table; bounded by most_lines².
std::vector<Step> align(const Lines& a, const Lines& b)
{
    const std::size_t width = b.size() + 1;
    std::vector<std::uint16_t> best((a.size() + 1) * width, 0);
    for (std::size_t i = a.size(); i-- > 0;) {
        for (std::size_t j = b.size(); j-- > 0;) {
            best[i * width + j] =
                a[i] == b[j] ? static_cast<std::uint16_t>(best[(i + 1) * width + j + 1] + 1)
                             : std::max(best[(i + 1) * width + j], best[i * width + j + 1]);
        }
    }
    std::vector<Step> steps;
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() || j < b.size()) {
        if (i < a.size() && j < b.size() && a[i] == b[j]) {
            steps.push_back({.side = Side::both, .line = a[i]});
            ++i;
            ++j;
        } else if (j == b.size() ||
                   (i < a.size() && best[(i + 1) * width + j] >= best[i * width + j + 1])) {
            steps.push_back({.side = Side::before, .line = a[i++]});
        } else {
            steps.push_back({.side = Side::after, .line = b[j++]});
        }
    }
    return steps;
}

/// Steps within context_lines of a change, in runs.
std::string print_hunks(const std::vector<Step>& steps)
{
    std::vector<bool> shown(steps.size(), false);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (steps[i].side == Side::both) {
            continue;
        }
        const std::size_t from = i < context_lines ? 0 : i - context_lines;
        const std::size_t to = std::min(steps.size(), i + context_lines + 1);
        std::fill(shown.begin() + static_cast<std::ptrdiff_t>(from),
                  shown.begin() + static_cast<std::ptrdiff_t>(to),
                  true);
    }
    std::string text;
    std::size_t line_a = 1;
    std::size_t line_b = 1;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (shown[i] && (i == 0 || !shown[i - 1])) {
            text += fmt::format("@@ -{} +{} @@\n", line_a, line_b);
        }
        if (shown[i]) {
            text += static_cast<char>(steps[i].side) + printable(steps[i].line) + "\n";
        }
        line_a += steps[i].side != Side::after ? 1U : 0U;
        line_b += steps[i].side != Side::before ? 1U : 0U;
    }
    return text;
}

bool is_text(const std::string& content)
{
    return content.size() <= most_bytes && content.find('\0') == std::string::npos;
}

} // namespace

std::optional<std::string>
text_difference(const std::string& before, const std::string& after, const std::string& name)
{
    if (!is_text(before) || !is_text(after)) {
        return std::nullopt;
    }
    if (before == after) {
        return "";
    }
    const Lines a = split_lines(before);
    const Lines b = split_lines(after);
    std::size_t head = 0;
    while (head < std::min(a.size(), b.size()) && a[head] == b[head]) {
        ++head;
    }
    std::size_t tail = 0;
    while (tail < std::min(a.size(), b.size()) - head &&
           a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
        ++tail;
    }
    const auto middle = [&](const Lines& lines) {
        return Lines(lines.begin() + static_cast<std::ptrdiff_t>(head),
                     lines.end() - static_cast<std::ptrdiff_t>(tail));
    };
    const Lines only_a = middle(a);
    const Lines only_b = middle(b);
    if (only_a.size() > most_lines || only_b.size() > most_lines) {
        return std::nullopt;
    }
    std::vector<Step> steps;
    for (std::size_t i = 0; i < head; ++i) {
        steps.push_back({.side = Side::both, .line = a[i]});
    }
    for (const Step& step : align(only_a, only_b)) {
        steps.push_back(step);
    }
    for (std::size_t i = a.size() - tail; i < a.size(); ++i) {
        steps.push_back({.side = Side::both, .line = a[i]});
    }
    return fmt::format("--- {0}\n+++ {0}\n{1}", printable(name), print_hunks(steps));
}

} // namespace stemma::image
