#include "stemma/analyzer/report.hpp"

#include <fmt/format.h>

#include "page.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t max_cards = 50;

constexpr std::string_view head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root{--ink:#1c2733;--soft:#5b6b7b;--line:#dde3e9;--paper:#fff;--ground:#f4f6f8}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa8b5;--line:#33404d;--paper:#1d2630;--ground:#151c24}}
body{margin:0 auto;max-width:860px;padding:24px;font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
h1{font-size:22px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 8px}
p{margin:4px 0}.soft{color:var(--soft)}
.numbers{display:flex;gap:28px;margin:16px 0}.numbers b{display:block;font-size:24px}
.card{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:14px 16px;margin:10px 0}
.card h3{margin:0;font:600 15px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
.place{font:13px ui-monospace,monospace;color:var(--soft);overflow-wrap:anywhere}
.values{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:8px 0;font:13px ui-monospace,monospace;overflow-wrap:anywhere}
.here{color:#d64545}.there{color:#3d8b4f}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg.strip{width:100%;height:34px}
svg.map{width:100%;background:var(--paper);border:1px solid var(--line);border-radius:8px}
circle.peer{fill:#4c78a8;fill-opacity:.65}circle.target{fill:#d64545}
.noise{opacity:.6}
</style>
)";

std::string card_of(const Finding& finding, std::size_t rank, const ReportInput& input)
{
    std::string place = escaped(finding.file);
    if (finding.line > 0) {
        place += fmt::format(":{}", finding.line);
    }
    std::string card = fmt::format(
        "<div class=\"card{}\"><div class=\"place\">{}. {}</div><h3>{}</h3><div class=\"values\">"
        "<span>here</span><span class=\"here\">{}</span>",
        finding.category == Category::noise ? " noise" : "",
        rank,
        place,
        escaped(finding.setting),
        finding.value ? escaped(*finding.value) : "(not there)");
    if (finding.expected) {
        card += fmt::format("<span>peers</span><span class=\"there\">{}</span>",
                            escaped(*finding.expected));
    }
    card += fmt::format("</div><p>{}</p>", escaped(finding.reason));
    const auto found =
        input.model.explain(input.target, finding.file + ":" + finding.setting, input.options);
    if (!found.empty()) {
        card += distribution_strip(found.front());
    }
    if (finding.members.size() > 1) {
        card += fmt::format("<details><summary>{} settings belong together</summary>",
                            finding.members.size());
        for (const auto& member : finding.members) {
            card += fmt::format(
                "<div class=\"place\">{} {}</div>", escaped(member.file), escaped(member.setting));
        }
        card += "</details>";
    }
    return card + "</div>\n";
}

} // namespace

std::string ranking_html(const ReportInput& input)
{
    std::string page(head);
    page += fmt::format("<title>{0}: what sets it apart</title></head><body>\n<h1>{0}</h1>\n"
                        "<p class=\"soft\">beside {1} peers ({2})</p>\n",
                        escaped(input.target_name),
                        input.ranking.peers,
                        escaped(input.peers_are));
    page += fmt::format("<div class=\"numbers\"><div><b>{}</b>of interest</div><div><b>{}</b>noise"
                        "</div><div><b>{}</b>as with the peers</div></div>\n",
                        input.ranking.of_interest,
                        input.ranking.noise,
                        input.ranking.uniform);
    page += "<h2>Findings, the most suspicious first</h2>\n";
    std::size_t rank = 0;
    for (const Finding& finding : input.ranking.findings) {
        if (++rank > max_cards) {
            page += fmt::format("<p class=\"soft\">… and {} more</p>\n",
                                input.ranking.findings.size() - max_cards);
            break;
        }
        page += card_of(finding, rank, input);
    }
    if (rank == 0) {
        page += "<p>Nothing sets it apart.</p>\n";
    }
    page += "<h2>Map of the fleet</h2>\n<p class=\"soft\">VMs that differ in few settings lie near "
            "each other.</p>\n";
    page += map_picture(fleet_map(input.pool, input.target, input.target_name));
    return page + "\n</body></html>\n";
}

} // namespace stemma::analyzer
