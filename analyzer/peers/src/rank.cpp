#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "model.hpp"

namespace stemma::analyzer {

namespace {

constexpr double interesting = 3.0; ///< −ln 5%: what one healthy VM in twenty may show
constexpr double least = 1.0;       ///< below it nothing is said at all
constexpr double service_bonus = 2.0;
constexpr std::size_t few_records = 8; ///< with fewer, the record's type knows more

struct Item {
    NodeId node = 0;
    Question question = Question::value;
    NodeId shape = 0; ///< judged among the records of its type
    Evidence evidence;
    double score = 0;
    std::string note;
    std::string cause; ///< items with the same cause are one finding
};

/// Walks over the target and over what it lacks.
class Survey {
public:
    Survey(const Judge& judge, const RankOptions& options)
        : judge_(judge),
          options_(options),
          pool_(judge.model().pool),
          canonical_(judge.target().names, pool_.rules()),
          strange_(pool_.nodes(), false)
    {
    }

    Ranking run();

private:
    void look_at(const Observation& observation);
    void look_for_missing(NodeId parent);
    bool judge_novelty(const Observation& observation);
    void judge_value(const Observation& observation);
    void judge_type(const Observation& observation);
    void keep(Item item);
    [[nodiscard]] double prior(const Item& item) const;
    [[nodiscard]] std::string cause_of(const Item& item) const;
    [[nodiscard]] Finding finding_of(const Item& item) const;
    [[nodiscard]] std::string reason_of(const Item& item) const;
    [[nodiscard]] std::string expected_text(const Item& item) const;
    void share_blame();
    void collect(Ranking& ranking);

    const Judge& judge_;
    const RankOptions& options_;
    const Pool& pool_;
    Canonical canonical_;
    std::vector<bool> strange_; ///< nodes that hardly a peer has: what is below has no counterpart
    std::vector<Item> items_;
    std::size_t settings_ = 0;
    std::size_t uniform_ = 0;
    std::size_t operational_ = 0;
};

bool is_below_types(const Judge& judge, const Pool& pool, NodeId node)
{
    const NodeId types = judge.model().types;
    return types != 0 && (node == types || pool.node(node).parent == types ||
                          pool.node(pool.node(node).parent).parent == types);
}

void Survey::look_at(const Observation& observation)
{
    const Pool::Node& node = pool_.node(observation.node);
    if (node.role == NodeRole::kind || is_below_types(judge_, pool_, observation.node)) {
        return;
    }
    const bool leaf = observation.code >= first_value_code || node.role == NodeRole::element;
    settings_ += leaf ? 1U : 0U;
    if (node.operational) {
        operational_ += leaf && observation.code != node.majority ? 1U : 0U;
        return;
    }
    if (strange_[node.parent]) {
        strange_[observation.node] = true;
        judge_type(observation);
        return;
    }
    const bool plain = observation.code == node.majority && node.exceptions.size() < 3;
    if (plain) {
        uniform_ += leaf ? 1U : 0U;
        return;
    }
    if (judge_novelty(observation)) {
        return;
    }
    if (observation.code >= first_value_code) {
        judge_value(observation);
    }
}

/// Returns true when the node is so rare that nothing below it can be compared.
bool Survey::judge_novelty(const Observation& observation)
{
    const Pool::Node& node = pool_.node(observation.node);
    const std::size_t here = judge_.present(observation.node);
    const std::size_t above = judge_.present(node.parent);
    if (here * 2 < above || here == 0) {
        Item item;
        item.node = observation.node;
        item.question = Question::novelty;
        item.evidence = judge_.judge(observation.node, Question::novelty);
        if (item.evidence.with * 2 < item.evidence.n || item.evidence.with == 0) {
            keep(std::move(item));
        }
    }
    if (here < few_records && observation.shape != 0) {
        judge_type(observation);
    }
    strange_[observation.node] = here == 0;
    return here == 0;
}

void Survey::judge_value(const Observation& observation)
{
    if (judge_.present(observation.node) < 2 && observation.shape != 0) {
        return; // its type has been asked already
    }
    Item item;
    item.node = observation.node;
    item.evidence = judge_.judge(observation.node, Question::value);
    if (item.evidence.expected == observation.code) {
        ++uniform_;
        return;
    }
    const NumberVerdict verdict = judge_number(judge_, observation.node, item.evidence);
    item.score = verdict.adjust;
    item.note = verdict.words;
    if (verdict.outside) { // where every peer has its own number, its place among them counts
        const double by_place = 1.0 / static_cast<double>(item.evidence.n + 2);
        double& probability = item.evidence.rarity.probability;
        probability = std::min(probability, by_place);
    }
    keep(std::move(item));
}

void Survey::judge_type(const Observation& observation)
{
    if (observation.shape == 0) {
        return;
    }
    Item item;
    item.node = observation.node;
    item.shape = observation.shape;
    item.evidence = judge_.judge_shape(observation.shape);
    if (item.evidence.n >= 3 && item.evidence.with * 2 < item.evidence.n &&
        item.evidence.agreeing * 2 > item.evidence.n) {
        keep(std::move(item));
    }
}

void Survey::look_for_missing(NodeId parent)
{
    if (strange_[parent] || pool_.node(parent).operational) {
        return;
    }
    for (const NodeId child : pool_.node(parent).children) {
        const Pool::Node& node = pool_.node(child);
        if (node.operational || node.role == NodeRole::kind || node.role == NodeRole::shape ||
            judge_.target_code(child) != code_absent) {
            continue;
        }
        const std::size_t here = judge_.present(child);
        const std::size_t above = judge_.present(parent);
        if (here < 2 || (here < 4 && here * 2 < above)) {
            continue;
        }
        Item item;
        item.node = child;
        item.question = Question::absence;
        item.evidence = judge_.judge(child, Question::absence);
        if (item.evidence.expected == code_present) {
            keep(std::move(item));
        }
    }
}

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
    if (file == "package:") {
        prior -= 2;
    }
    if (item.question == Question::novelty) {
        prior -= node.role == NodeRole::path || node.role == NodeRole::record ? 1.5 : 0.5;
    }
    const std::size_t holders = judge_.present(node.parent);
    if (holders <= 3 && holders * 10 < judge_.peers()) {
        prior -= 1.5; // hardly a peer has anything there
    }
    if (concerns_service(options_.service, file, key)) {
        prior += service_bonus;
    }
    return prior;
}

std::string Survey::cause_of(const Item& item) const
{
    const Pool::Node& node = pool_.node(item.node);
    if (node.role == NodeRole::element) {
        return fmt::format("list {}", node.parent);
    }
    if (node.role == NodeRole::attribute) {
        return fmt::format("file {}", node.parent);
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

void Survey::keep(Item item)
{
    item.score += -std::log(std::max(item.evidence.rarity.probability, 1e-9)) + prior(item);
    if (item.score >= least) {
        item.cause = cause_of(item);
        items_.push_back(std::move(item));
    }
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
    } else if (item.question == Question::novelty) {
        text =
            evidence.with == 0
                ? fmt::format("none of {} comparable peers has it", evidence.n)
                : fmt::format("only {} of {} comparable peers have it", evidence.with, evidence.n);
    } else {
        text = fmt::format("{} of {} comparable peers have \"{}\", {} this value",
                           evidence.agreeing,
                           evidence.n,
                           expected_text(item),
                           evidence.with == 0 ? "none has" : fmt::format("{} have", evidence.with));
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
    finding.score = item.score;
    // One or two peers (a VM's own past) cannot say more: what differs from them is of interest.
    const double enough = judge_.peers() <= 2 ? least : interesting;
    finding.category = item.score >= enough ? Category::of_interest : Category::noise;
    finding.peers = item.evidence.n;
    finding.peers_with = item.evidence.with;
    finding.reason = reason_of(item);
    return finding;
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
        const Place place = place_of(judge_, canonical_, item.node);
        if (finding.members.size() < 100) {
            finding.members.push_back({place.file, place.setting});
        }
    }
}

Ranking Survey::run()
{
    Ranking ranking;
    ranking.peers = judge_.peers();
    if (ranking.peers == 0) {
        return ranking;
    }
    // Parents have smaller ids than their children, and `seen` is sorted.
    for (const Observation& observation : judge_.target().seen) {
        look_at(observation);
    }
    for (const Observation& observation : judge_.target().seen) {
        if (!is_below_types(judge_, pool_, observation.node) &&
            !pool_.node(observation.node).children.empty()) {
            look_for_missing(observation.node);
        }
    }
    collect(ranking);
    ranking.settings = settings_;
    ranking.uniform = uniform_;
    for (const Finding& finding : ranking.findings) {
        ++(finding.category == Category::of_interest ? ranking.of_interest : ranking.noise);
    }
    ranking.noise += operational_;
    return ranking;
}

} // namespace

Ranking rank_stemma(const Judge& judge, const RankOptions& options)
{
    return Survey(judge, options).run();
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
