#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "page.hpp"

namespace stemma::analyzer {

namespace {

/// From the palette of Okabe and Ito, which colour-blind people can tell apart; red is the
/// target's.
constexpr std::array<std::string_view, 8> colours = {
    "#3f6fa5", "#56b4e9", "#009e73", "#e69f00", "#8a63b0", "#b3a34a", "#7f8c99", "#b9c2ca"};
constexpr std::string_view odd = "#d64545";
constexpr std::size_t most_legend = 7;

std::string_view colour_of(std::size_t index)
{
    return colours[std::min(index, colours.size() - 1)];
}

/// At most so many bytes, never half a character.
std::string shortened(std::string_view text, std::size_t most)
{
    if (text.size() <= most) {
        return std::string(text);
    }
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) {
        --most;
    }
    return std::string(text.substr(0, most)) + "…";
}

std::string name_of(const Distribution::Row& row)
{
    return row.absent ? "not there" : row.value.empty() ? "(empty)" : row.value;
}

} // namespace

std::string escaped(std::string_view text)
{
    std::string out;
    for (const char byte : printable(text)) {
        switch (byte) {
        case '&':
            out += "&amp;";
            break;
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '"':
            out += "&quot;";
            break;
        case '\'':
            out += "&#39;";
            break;
        default:
            out += byte;
            break;
        }
    }
    return out;
}

std::string distribution_strip(const Distribution& distribution)
{
    constexpr double width = 800;
    double total = 0;
    for (const auto& row : distribution.rows) {
        total += static_cast<double>(row.count) + (row.target ? 1 : 0);
    }
    std::string svg = "<svg class=\"strip\" viewBox=\"0 0 800 22\" preserveAspectRatio=\"none\" "
                      "role=\"img\">";
    std::string legend = "<div class=\"legend\">";
    double at = 0;
    std::size_t index = 0;
    for (const auto& row : distribution.rows) {
        const double part = (static_cast<double>(row.count) + (row.target ? 1 : 0)) / total * width;
        const auto colour = row.target && row.count == 0 ? odd : colour_of(index);
        svg += fmt::format("<g><title>{}: {} peers</title><rect x=\"{:.1f}\" y=\"0\" "
                           "width=\"{:.1f}\" height=\"22\" fill=\"{}\"/></g>",
                           escaped(shortened(name_of(row), 200)),
                           row.count,
                           at,
                           std::max(part - 1, 3.0),
                           colour);
        if (index < most_legend || row.target) {
            legend += fmt::format("<span{}><i style=\"background:{}\"></i>{} · {}{}</span>",
                                  row.target ? " class=\"own\"" : "",
                                  colour,
                                  escaped(shortened(name_of(row), 48)),
                                  row.count,
                                  row.target ? " ← this VM" : "");
        }
        at += part;
        ++index;
    }
    if (index > most_legend) {
        legend += fmt::format("<span>{} values in all</span>", index);
    }
    return svg + "</svg>" + legend + "</div>";
}

std::string map_picture(const FleetMap& map)
{
    std::string svg = "<svg class=\"map\" viewBox=\"0 0 880 460\" role=\"img\">";
    for (const MapPoint& point : map.points) {
        const double x = 30 + point.x * 780;
        const double y = 26 + point.y * 404;
        svg += fmt::format(
            "<g><title>{0}</title><circle cx=\"{1:.1f}\" cy=\"{2:.1f}\" r=\"{3}\" "
            "class=\"{4}\"{5}/>",
            escaped(point.name),
            x,
            y,
            point.target ? 8 : 5,
            point.target ? "target" : "peer",
            point.target
                ? std::string()
                : fmt::format(" fill=\"{}\"",
                              colour_of(point.group == 0 ? colours.size() - 1 : point.group - 1)));
        if (point.target || map.points.size() <= 24) {
            svg += fmt::format(
                "<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x + 11, y + 4, escaped(point.name));
        }
        svg += "</g>";
    }
    svg += "</svg>";
    if (map.groups.empty()) {
        return svg;
    }
    std::string legend = "<div class=\"legend\">";
    for (std::size_t i = 0; i < map.groups.size(); ++i) {
        legend += fmt::format("<span><i style=\"background:{}\"></i>{} VM{} · {}</span>",
                              colour_of(i),
                              map.groups[i].size,
                              map.groups[i].size == 1 ? "" : "s",
                              escaped(shortened(map.groups[i].label, 70)));
    }
    return svg + legend + "</div>";
}

std::string timeline_picture(const std::vector<Mark>& past)
{
    constexpr double left = 24;
    constexpr double width = 832;
    const auto [first, last] = std::minmax_element(
        past.begin(), past.end(), [](const Mark& a, const Mark& b) { return a.at < b.at; });
    const double span = std::max(1.0, std::chrono::duration<double>(last->at - first->at).count());
    std::string svg = "<svg class=\"time\" viewBox=\"0 0 880 92\" role=\"img\">";
    svg += fmt::format("<line x1=\"{0}\" x2=\"{1}\" y1=\"48\" y2=\"48\" stroke=\"{2}\"/>",
                       left,
                       left + width,
                       colours[6]);
    for (const Mark& mark : past) {
        const double x =
            left + std::chrono::duration<double>(mark.at - first->at).count() / span * width;
        const std::string title = escaped(format_time(mark.at) + "  " + mark.label);
        if (mark.kind == Mark::Kind::snapshot) {
            svg += fmt::format("<g><title>{}</title><circle cx=\"{:.1f}\" cy=\"48\" r=\"6\" "
                               "fill=\"{}\"/></g>",
                               title,
                               x,
                               colours[0]);
        } else {
            svg += fmt::format("<g><title>{}</title><path d=\"M{:.1f} 40 l-5 -12 h10 z\" "
                               "fill=\"{}\"/></g>",
                               title,
                               x,
                               colours[3]);
        }
    }
    svg += fmt::format("<text class=\"soft\" x=\"{}\" y=\"80\">{}</text><text class=\"soft\" "
                       "text-anchor=\"end\" x=\"{}\" y=\"80\">{}</text></svg>",
                       left,
                       format_time(first->at),
                       left + width,
                       format_time(last->at));
    return svg + fmt::format("<div class=\"legend\"><span><i style=\"background:{}\"></i>snapshot"
                             "</span><span><i style=\"background:{}\"></i>event</span></div>",
                             colours[0],
                             colours[3]);
}

} // namespace stemma::analyzer
