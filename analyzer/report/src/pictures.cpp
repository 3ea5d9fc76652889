#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "page.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::array<std::string_view, 7> colours = {
    "#4c78a8", "#72a0c8", "#9ecae9", "#88b07b", "#b6d7a8", "#d8c56b", "#b9b9b9"};

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
    constexpr double width = 640;
    double total = 0;
    for (const auto& row : distribution.rows) {
        total += static_cast<double>(row.count) + (row.target ? 1 : 0);
    }
    std::string svg = "<svg class=\"strip\" viewBox=\"0 0 640 34\" role=\"img\">";
    double at = 0;
    std::size_t index = 0;
    for (const auto& row : distribution.rows) {
        const double part = (static_cast<double>(row.count) + (row.target ? 1 : 0)) / total * width;
        const std::string value = row.absent ? "not there" : escaped(row.value.substr(0, 200));
        svg += fmt::format(
            "<g><title>{}: {} peers</title><rect x=\"{:.1f}\" y=\"8\" width=\"{:.1f}\" "
            "height=\"18\" fill=\"{}\"/>",
            value,
            row.count,
            at,
            std::max(part - 1, 1.0),
            row.target && row.count == 0 ? "#d64545"
                                         : colours[std::min(index, colours.size() - 1)]);
        if (part > 60) {
            const auto room = static_cast<std::size_t>(part / 8);
            svg += fmt::format("<text x=\"{:.1f}\" y=\"21\">{}</text>",
                               at + 5,
                               row.absent ? "not there" : escaped(row.value.substr(0, room)));
        }
        if (row.target) {
            svg += fmt::format("<path d=\"M{0:.1f} 6 l-5 -6 h10 z\" fill=\"#d64545\"/>",
                               at + std::max(part, 2.0) / 2);
        }
        svg += "</g>";
        at += part;
        ++index;
    }
    return svg + "</svg>";
}

std::string map_picture(const std::vector<MapPoint>& points)
{
    std::string svg = "<svg class=\"map\" viewBox=\"0 0 640 360\" role=\"img\">";
    for (const MapPoint& point : points) {
        const double x = 20 + point.x * 560;
        const double y = 20 + point.y * 320;
        svg += fmt::format(
            "<g><title>{0}</title><circle cx=\"{1:.1f}\" cy=\"{2:.1f}\" r=\"{3}\" class=\"{4}\"/>",
            escaped(point.name),
            x,
            y,
            point.target ? 7 : 4,
            point.target ? "target" : "peer");
        if (point.target || points.size() <= 24) {
            svg += fmt::format(
                "<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x + 9, y + 4, escaped(point.name));
        }
        svg += "</g>";
    }
    return svg + "</svg>";
}

} // namespace stemma::analyzer
