#include "stemma/analyzer/key.hpp"
#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "survey.hpp"

/// What a finding says: its score's priors, its cause, its words.
namespace stemma::analyzer {

namespace {

constexpr double service_bonus = 2.0;
constexpr double merely_new = 1.5; ///< that a file or record is new says less than a changed value

std::string holders(std::size_t count)
{
    if (count == 0) {
        return "none has";
    }
    return fmt::format("{} {}", count, count == 1 ? "has" : "have");
}

} // namespace

double Survey::prior(const Item& item) const
{
    const Pool::Node& node = pool_.node(item.node);
    const std::string_view name = pool_.name_text(item.node);
    double prior = 0;
    if (node.role == NodeRole::attribute) {
        if (name == "sha256") {
            prior -= 2;
        } else if (name == "lines" || name == "size") {
            prior -= 3;
        }
    }
    if (node.role == NodeRole::setting && (name == "uid" || name == "gid")) {
        prior -= 3;
    }
    const auto [file, key] = pool_.describe(item.node);
    if (file == "package:" && name != "state") {
        prior -= 2;
    }
    if (file == "/etc/motd" || file.starts_with("/etc/issue")) {
        prior -= 3; // words for people: no program reads them
    }
    const bool reference = name.ends_with(names_nothing);
    if (item.question == Question::novelty && !reference) {
        prior -= node.role == NodeRole::path || node.role == NodeRole::record ? merely_new : 0.5;
    }
    const std::size_t holders = judge_.present(node.parent);
    if (holders <= 3 && holders * 10 < judge_.peers() && !reference) {
        prior -= 1.5; // hardly a peer has anything there
    }
    if (concerns_service(options_.service, file, key)) {
        prior += service_bonus;
    }
    return prior;
}

/// The package that brought a file, where the target has another version of it than its peers.
std::string Survey::upgraded_package(NodeId node) const
{
    const NodeId file = judge_.model().file_of[node];
    const NodeId said = child_named(file, "package");
    const Code code = said == 0 ? code_absent : judge_.target_code(said);
    if (code < first_value_code || pool_.node(said).role != NodeRole::attribute) {
        return {};
    }
    std::string package(pool_.value_text(said, code));
    const auto [found, fresh] = upgraded_.try_emplace(package, false);
    if (fresh) {
        found->second = is_upgraded(package);
    }
    return found->second ? package : std::string();
}

bool Survey::is_upgraded(const std::string& package) const
{
    const NodeId record = child_named(child_named(0, "package"), package);
    const NodeId version = record == 0 ? 0 : child_named(record, "version");
    return version != 0 &&
           judge_.judge(version, Question::value).expected != judge_.target_code(version);
}

std::string Survey::cause_of(const Item& item) const
{
    const Pool::Node& node = pool_.node(item.node);
    const std::string_view own_name = pool_.name_text(item.node);
    if (own_name.ends_with(names_nothing)) {
        const NodeId base =
            child_named(node.parent, own_name.substr(0, own_name.size() - names_nothing.size()));
        return fmt::format(
            "{} {}", pool_.node(base).role == NodeRole::list ? "list" : "node", base);
    }
    if (node.role == NodeRole::element) {
        return fmt::format("list {}", node.parent);
    }
    if (node.role == NodeRole::attribute || node.role == NodeRole::path) {
        if (const std::string package = upgraded_package(item.node); !package.empty()) {
            return "package " + package;
        }
    }
    if (node.role == NodeRole::attribute) {
        return fmt::format("file {}", node.parent);
    }
    if (node.role == NodeRole::setting && own_name == "version" &&
        pool_.node(pool_.node(node.parent).parent).parent == 0 &&
        pool_.name_text(pool_.node(node.parent).parent) == "package") {
        return fmt::format("package {}", pool_.name_text(node.parent));
    }
    if (item.question != Question::value && item.shape == 0 &&
        (node.role == NodeRole::path || node.role == NodeRole::record)) {
        // A service or user comes and goes with its unit, its home, its entries: of one name.
        std::string name = to_lower(pool_.name_text(item.node));
        if (const auto open = name.find('['); open != std::string::npos) {
            name = name.substr(open + 1);
        }
        std::size_t end = 0;
        while (end < name.size() && std::isalnum(static_cast<unsigned char>(name[end])) != 0) {
            ++end;
        }
        const bool rare = item.evidence.with * 20 <= item.evidence.n;
        if (item.question == Question::absence && end >= 3) {
            return "lacks " + name;
        }
        if (end >= 4 && rare) {
            return "new " + name.substr(0, end);
        }
    }
    return fmt::format("node {}", item.node);
}

std::string Survey::expected_text(const Item& item) const
{
    if (item.shape != 0) {
        return std::string(pool_.name_text(item.evidence.expected));
    }
    if (item.question == Question::value) {
        return canonical_.expand(pool_.value_text(item.node, item.evidence.expected));
    }
    // What is missing: its value where it has one, else that it is there.
    const auto counts = pool_.counts(item.node);
    const auto best =
        std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
            return a.second < b.second;
        });
    return best == counts.end() ? std::string("present")
                                : canonical_.expand(pool_.value_text(item.node, best->first));
}

std::string Survey::reason_of(const Item& item) const
{
    const Evidence& evidence = item.evidence;
    std::string text;
    if (item.shape != 0) {
        text = fmt::format("{} of {} peers with records of this type say \"{}\" here, {} say this",
                           evidence.agreeing,
                           evidence.n,
                           expected_text(item),
                           evidence.with == 0 ? "none" : fmt::format("{}", evidence.with));
    } else if (item.question == Question::absence) {
        text = fmt::format("{} of {} comparable peers have it", evidence.agreeing, evidence.n);
    } else if (pool_.name_text(item.node).ends_with(names_nothing)) {
        text = fmt::format("what it names is not there; that of {} of {} comparable peers is",
                           evidence.n - evidence.with,
                           evidence.n);
    } else if (item.question == Question::novelty) {
        text = evidence.with == 0 ? fmt::format("none of {} comparable peers has it", evidence.n)
                                  : fmt::format("only {} of {} comparable peers {} it",
                                                evidence.with,
                                                evidence.n,
                                                evidence.with == 1 ? "has" : "have");
    } else {
        text = fmt::format("{} of {} comparable peers have \"{}\", {} this value",
                           evidence.agreeing,
                           evidence.n,
                           expected_text(item),
                           holders(evidence.with));
    }
    if (!item.note.empty()) {
        text += "; " + item.note;
    }
    for (const Context* context : evidence.contexts) {
        const auto& support = context->supports.front();
        const auto [file, key] = pool_.describe(support.node);
        text += fmt::format(
            "; compared with those of the same {}{}{}", file, key.empty() ? "" : " ", key);
    }
    return text;
}

/// The score from which on a finding is of interest. Few peers cannot make anything as surprising
/// as many can: then it is what something new has that none of them has. One or two (a VM's own
/// past) say that what differs from them is of interest.
double Survey::enough() const
{
    if (judge_.peers() <= 2) {
        return remarkable;
    }
    const double most = -std::log(rarity(even_volatility, 0, judge_.peers()).probability);
    return std::min(interesting, most - merely_new - 0.01);
}

Finding Survey::finding_of(const Item& item) const
{
    Finding finding;
    const Place place = place_of(judge_, canonical_, item.node);
    finding.file = place.file;
    finding.setting = place.setting;
    finding.line = place.line;
    finding.value = place.value;
    if (item.question != Question::novelty) {
        finding.expected = expected_text(item);
    }
    finding.node = item.node;
    finding.score = item.score;
    finding.category = item.score >= enough() ? Category::of_interest : Category::noise;
    finding.peers = item.evidence.n;
    finding.peers_with = item.evidence.with;
    finding.reason = reason_of(item);
    if (item.question == Question::novelty && finding.score >= remarkable) {
        say_what_is_in(item.node, finding);
    }
    return finding;
}

/// What a new file, folder or record says is what somebody has to look at: it becomes members of
/// the finding, its first one the place, and where it is alone also the setting.
void Survey::say_what_is_in(NodeId node, Finding& finding) const
{
    constexpr std::size_t most = 20;
    constexpr std::size_t quoted = 3;
    const NodeRole role = pool_.node(node).role;
    if (role != NodeRole::path && role != NodeRole::record) {
        return;
    }
    std::vector<bool> below(pool_.nodes(), false);
    below[node] = true;
    std::vector<Place> inside;
    for (const Observation& seen : judge_.target().seen) { // parents stand before their children
        const Pool::Node& one = pool_.node(seen.node);
        below[seen.node] = below[seen.node] || below[one.parent];
        const bool says = one.role == NodeRole::setting || one.role == NodeRole::element;
        if (says && below[seen.node] && inside.size() < most) {
            inside.push_back(place_of(judge_, canonical_, seen.node));
        }
    }
    if (inside.empty()) {
        return;
    }
    finding.file = inside.front().file;
    finding.line = inside.front().line;
    if (inside.size() == 1) {
        finding.setting = inside.front().setting;
        finding.value = inside.front().value;
    } else {
        finding.members.push_back({finding.file, finding.setting});
    }
    std::vector<std::string> words;
    for (const Place& place : inside) {
        finding.members.push_back({place.file, place.setting});
        if (words.size() < quoted) {
            const std::string value = place.value.value_or("");
            words.push_back(place.setting.find(element_mark) != std::string::npos
                                ? place.setting
                                : fmt::format("{} = {}", place.setting, value.substr(0, 60)));
        }
    }
    if (inside.size() == 1) {
        return; // it is the value
    }
    finding.reason +=
        fmt::format("; it says {}{}", fmt::join(words, ", "), inside.size() > quoted ? ", …" : "");
}

/// Of many departures in one place at once each is the less likely to be the cause: an upgrade, not
/// a slip.
void Survey::share_blame()
{
    std::map<std::string, double> crowd;
    const auto place = [&](const Item& item) {
        const auto described = pool_.describe(item.node); // the parts below borrow from it
        const auto parts = split(described.first, '/');
        std::string name;
        for (std::size_t i = 0; i < parts.size() && i < 3; ++i) {
            name += "/" + std::string(parts[i]);
        }
        return name;
    };
    for (const Item& item : items_) {
        crowd[place(item)] += item.score >= interesting ? 1 : 0;
    }
    for (Item& item : items_) {
        item.score -= 0.7 * std::log(std::max(1.0, crowd[place(item)]));
    }
}

void Survey::collect(Ranking& ranking)
{
    share_blame();
    std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
        return a.score != b.score ? a.score > b.score : a.node < b.node;
    });
    std::map<std::string, std::size_t> at;
    for (const Item& item : items_) {
        const auto [found, fresh] = at.try_emplace(item.cause, ranking.findings.size());
        if (fresh) {
            ranking.findings.push_back(finding_of(item));
        }
        Finding& finding = ranking.findings[found->second];
        if (!fresh && item.cause.starts_with("package ") &&
            pool_.node(item.node).role == NodeRole::setting) {
            // The version says best what the changed files are about.
            Finding head = finding_of(item);
            head.score = finding.score;
            head.category = finding.category;
            head.members = std::move(finding.members);
            head.members.insert(head.members.begin(), {head.file, head.setting});
            finding = std::move(head);
            continue;
        }
        if (fresh && !finding.members.empty()) {
            continue; // what is in it stands for it
        }
        const Place place = place_of(judge_, canonical_, item.node);
        if (finding.members.size() < 100) {
            finding.members.push_back({place.file, place.setting});
        }
    }
}

Place place_of(const Judge& judge, const Canonical& canonical, NodeId node)
{
    const Pool& pool = judge.model().pool;
    const Sample& target = judge.target();
    auto [file, key] = pool.describe(node);
    Place place;
    place.file = canonical.expand(file);
    place.setting = canonical.expand(key);
    const auto at = std::lower_bound(target.seen.begin(),
                                     target.seen.end(),
                                     node,
                                     [](const Observation& o, NodeId id) { return o.node < id; });
    if (at != target.seen.end() && at->node == node) {
        place.value = at->code >= first_value_code ? std::string(pool.value_text(node, at->code))
                                                   : std::string("present");
        const auto index = static_cast<std::size_t>(at - target.seen.begin());
        if (index < target.details.size()) {
            const Detail& detail = target.details[index];
            if (at->code >= first_value_code) {
                place.value = detail.raw;
            }
            place.line = detail.line;
        }
    }
    return place;
}

} // namespace stemma::analyzer
