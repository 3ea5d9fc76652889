#include "stemma/core/text.hpp"

#include "stemma/analyzer/report.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace stemma::analyzer {

namespace {

constexpr std::size_t longest = 120;

/// One line, cut where it is too long for a terminal.
std::string shown(std::string_view text)
{
    std::string line = printable(text);
    if (line.size() > longest) {
        std::size_t end = longest;
        while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) {
            --end;
        }
        line.resize(end);
        line += "…";
    }
    return line;
}

std::string paint(std::string_view text, std::string_view code, bool colour)
{
    return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string place_of(const Finding& finding)
{
    std::string place = printable(finding.file);
    if (finding.line > 0) {
        place += fmt::format(":{}", finding.line);
    }
    return place;
}

std::string paragraph_of(const Finding& finding, std::size_t rank, bool colour)
{
    std::string text = fmt::format(
        "{:>3}  {}  {}\n", rank, place_of(finding), paint(shown(finding.setting), "1", colour));
    const std::string here = finding.value ? shown(*finding.value) : "(not there)";
    text += fmt::format("       here   {}\n", paint(here, "31", colour));
    if (finding.expected) {
        text += fmt::format("       peers  {}\n", paint(shown(*finding.expected), "32", colour));
    }
    text += fmt::format("       why    {}\n", shown(finding.reason));
    if (!finding.since.empty()) {
        text += fmt::format("       since  {}\n", shown(finding.since));
    }
    if (finding.members.size() > 1) {
        text += fmt::format("       with   {} more that belong to it", finding.members.size() - 1);
        std::string names;
        for (std::size_t i = 1; i < finding.members.size() && i < 4; ++i) {
            const auto& member = finding.members[i];
            names += (names.empty() ? ": " : ", ") +
                     shown(member.setting.empty() ? member.file : member.setting);
        }
        text += names + (finding.members.size() > 4 ? ", …\n" : "\n");
    }
    return text;
}

std::string_view plural(std::size_t count)
{
    return count == 1 ? "" : "s";
}

} // namespace

std::string ranking_text(std::string_view target,
                         std::string_view peers_are,
                         const Ranking& ranking,
                         const TextStyle& style)
{
    std::string text = fmt::format(
        "{} beside {} peer{} ({}): {} of interest, {} that differ as such settings do, {} alike\n",
        printable(target),
        ranking.peers,
        plural(ranking.peers),
        printable(peers_are),
        ranking.of_interest,
        ranking.noise,
        ranking.uniform);
    std::size_t rank = 0;
    std::size_t left = 0;
    for (const Finding& finding : ranking.findings) {
        if (finding.category != Category::of_interest && !style.with_noise) {
            continue;
        }
        if (rank >= style.limit) {
            ++left;
            continue;
        }
        text += "\n" + paragraph_of(finding, ++rank, style.colour);
    }
    if (rank == 0 && ranking.noise > 0) {
        text +=
            "\n     --all shows what differs; --service NAME looks at one service more closely\n";
    }
    if (left > 0) {
        text += fmt::format("\n     {} more: --limit {}\n", left, rank + left);
    }
    return text;
}

namespace {

constexpr std::size_t most_rows = 20; // of values, beside the target's

/// `most`  the count of the longest bar
std::string
row_text(std::string_view target, const Distribution::Row& row, std::size_t most, bool colour)
{
    constexpr std::size_t width = 30;
    const std::size_t length = std::min(width, (row.count * width + most - 1) / most);
    std::string bar;
    for (std::size_t i = 0; i < length; ++i) {
        bar += "█";
    }
    bar.append(width - length, ' ');
    std::string who;
    if (row.target) {
        who = paint(fmt::format("   ← {}", printable(target)), "31", colour);
    } else if (row.count <= 3 && !row.vms.empty()) {
        who = "   " + join(row.vms, ", ");
    }
    return fmt::format(
        "  {:>6}  {}  {}{}\n", row.count, bar, row.absent ? "(not there)" : shown(row.value), who);
}

} // namespace

std::string
explain_text(std::string_view target, const std::vector<Distribution>& distributions, bool colour)
{
    std::string text;
    for (const Distribution& distribution : distributions) {
        text += fmt::format("{}{}{}\n",
                            printable(distribution.file),
                            distribution.setting.empty() ? "" : "  ",
                            paint(shown(distribution.setting), "1", colour));
        std::size_t most = 1;
        for (const auto& row : distribution.rows) {
            most = std::max(most, row.count);
        }
        std::size_t listed = 0;
        for (const auto& row : distribution.rows) {
            if (++listed <= most_rows || row.target) {
                text += row_text(target, row, most, colour);
            }
        }
        if (listed > most_rows) {
            text += fmt::format("          … {} values in all\n", listed);
        }
        for (const std::string& context : distribution.contexts) {
            text += fmt::format("  compared with the {} of {} peers that agree on {}\n",
                                distribution.comparable,
                                distribution.peers,
                                shown(context));
        }
        text += "\n";
    }
    return text;
}

} // namespace stemma::analyzer
