#include "stemma/analyzer/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "page.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t max_cards = 50;
constexpr std::size_t max_noise = 100;

/// Two values with what they do not share at their beginning and end emphasised.
std::pair<std::string, std::string> contrasted(std::string_view here, std::string_view there)
{
    const std::size_t shorter = std::min(here.size(), there.size());
    const auto continues = [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
    };
    std::size_t front = 0;
    while (front < shorter && here[front] == there[front]) {
        ++front;
    }
    std::size_t back = 0;
    while (back < shorter - front &&
           here[here.size() - 1 - back] == there[there.size() - 1 - back]) {
        ++back;
    }
    while (front > 0 && (front < here.size() ? continues(here[front]) : false)) {
        --front; // never within a character
    }
    while (back > 0 && continues(here[here.size() - back])) {
        --back;
    }
    const auto marked = [&](std::string_view text) {
        const std::string_view middle = text.substr(front, text.size() - front - back);
        return escaped(text.substr(0, front)) +
               (middle.empty() ? "" : "<b>" + escaped(middle) + "</b>") +
               escaped(text.substr(text.size() - back));
    };
    return {marked(here), marked(there)};
}

std::string place_on_page(const Finding& finding)
{
    std::string place = escaped(finding.file);
    return finding.line > 0 ? fmt::format("{}:{}", place, finding.line) : place;
}

std::string values_of(const Finding& finding)
{
    std::string here = finding.value ? escaped(*finding.value) : "(not there)";
    std::string there = finding.expected ? escaped(*finding.expected) : "";
    if (finding.value && finding.expected) {
        std::tie(here, there) = contrasted(*finding.value, *finding.expected);
    }
    std::string text =
        fmt::format("<div class=\"values\"><span>here</span><span class=\"here\">{}</span>", here);
    if (finding.expected) {
        text += fmt::format("<span>peers</span><span class=\"there\">{}</span>", there);
    }
    return text + "</div>";
}

std::string members_of(const Finding& finding)
{
    if (finding.members.size() < 2) {
        return {};
    }
    std::string text = fmt::format("<details><summary>{} more of the same cause</summary>",
                                   finding.members.size() - 1);
    for (std::size_t i = 1; i < finding.members.size(); ++i) {
        const auto& member = finding.members[i];
        text += fmt::format(
            "<div class=\"place\">{} {}</div>", escaped(member.file), escaped(member.setting));
    }
    return text + "</details>";
}

std::string card_of(const Finding& finding, std::size_t rank, const ReportInput& input)
{
    std::string card = fmt::format(
        "<div class=\"card{}\"><div class=\"rank\">{}</div><div><div class=\"place\">{}</div>"
        "<h3>{}</h3>{}<p>{}</p>",
        rank == 1 ? " first" : "",
        rank,
        place_on_page(finding),
        escaped(finding.setting),
        values_of(finding),
        escaped(finding.reason));
    if (!finding.since.empty()) {
        card += fmt::format("<p class=\"since\">{}</p>", escaped(finding.since));
    }
    const auto found =
        input.model.explain(input.target, finding.file + ":" + finding.setting, input.options);
    if (!found.empty()) {
        card += distribution_strip(found.front());
    }
    return card + members_of(finding) + "</div></div>\n";
}

std::string verdict_of(const ReportInput& input)
{
    const auto& findings = input.ranking.findings;
    if (findings.empty() || findings.front().category != Category::of_interest) {
        return fmt::format("<div class=\"verdict calm\">Nothing of interest sets {} apart from its "
                           "peers.</div>\n",
                           escaped(input.target_name));
    }
    const Finding& first = findings.front();
    std::string text = fmt::format("<div class=\"verdict\">Look first at <code>{}{}{}</code>: ",
                                   place_on_page(first),
                                   first.setting.empty() ? "" : " ",
                                   escaped(first.setting));
    text += first.value
                ? fmt::format("it is <code>{}</code> here", escaped(first.value->substr(0, 120)))
                : std::string("it is not there");
    if (first.expected) {
        text +=
            fmt::format(", peers have <code>{}</code>", escaped(first.expected->substr(0, 120)));
    }
    return text + ".</div>\n";
}

std::string numbers_of(const Ranking& ranking)
{
    return fmt::format("<div class=\"numbers\"><div><b>{}</b>of interest</div><div><b>{}</b>differ "
                       "as such settings do</div><div><b>{}</b>as with the peers</div><div><b>{}"
                       "</b>peers</div></div>\n",
                       ranking.of_interest,
                       ranking.noise,
                       ranking.uniform,
                       ranking.peers);
}

std::string findings_of(const ReportInput& input)
{
    std::string text = "<h2>Findings, the most suspicious first</h2>\n";
    std::string noise;
    std::size_t rank = 0;
    std::size_t noises = 0;
    for (const Finding& finding : input.ranking.findings) {
        if (finding.category == Category::of_interest) {
            text += ++rank <= max_cards ? card_of(finding, rank, input) : std::string();
        } else if (++noises <= max_noise) {
            noise += fmt::format("<div class=\"place\">{} {}</div>",
                                 place_on_page(finding),
                                 escaped(finding.setting));
        }
    }
    if (rank > max_cards) {
        text += fmt::format("<p class=\"soft\">… and {} more</p>\n", rank - max_cards);
    }
    if (rank == 0) {
        text += "<p>Nothing sets it apart.</p>\n";
    }
    if (noises > 0) {
        text += fmt::format("<details class=\"noise\"><summary>{} that differ as such settings do"
                            "</summary>{}{}</details>\n",
                            noises,
                            noise,
                            noises > max_noise ? "<p>…</p>" : "");
    }
    return text;
}

} // namespace

std::string ranking_html(const ReportInput& input)
{
    std::string page(page_head());
    page += fmt::format("<title>{0}: what sets it apart</title></head><body>\n<h1>{0}</h1>\n"
                        "<p class=\"soft\">beside {1} peers: {2}</p>\n",
                        escaped(input.target_name),
                        input.ranking.peers,
                        escaped(input.peers_are));
    page += verdict_of(input) + numbers_of(input.ranking) + findings_of(input);
    if (!input.past.empty()) {
        page += "<h2>Its past</h2>\n" + timeline_picture(input.past);
    }
    page += "<h2>The fleet</h2>\n<p class=\"soft\">VMs that differ in few settings lie near each "
            "other; colours are groups of VMs that are configured alike.</p>\n";
    page += map_picture(fleet_map(input.pool, input.target, input.target_name));
    return page + "\n</body></html>\n";
}

} // namespace stemma::analyzer
