#include "survey.hpp"

#include "stemma/analyzer/key.hpp"

#include <algorithm>
#include <cmath>

namespace stemma::analyzer {

namespace {

bool is_below_types(const Judge& judge, const Pool& pool, NodeId node)
{
    const NodeId types = judge.model().types;
    return types != 0 && (node == types || pool.node(node).parent == types ||
                          pool.node(pool.node(node).parent).parent == types);
}

} // namespace

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
    if (pool_.name_text(observation.node).ends_with(names_nothing)) {
        judge_reference(observation);
        return;
    }
    if (strange_[node.parent]) {
        strange_[observation.node] = true;
        judge_type(observation);
        return;
    }
    const bool plain = observation.code == node.majority && node.exceptions.size() < 3;
    if (plain || judge_.agrees_with_its_class(observation.node)) {
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

const Observation* Survey::seen(NodeId node) const
{
    const auto& all = judge_.target().seen;
    const auto at = std::lower_bound(
        all.begin(), all.end(), node, [](const Observation& o, NodeId id) { return o.node < id; });
    return at != all.end() && at->node == node ? &*at : nullptr;
}

NodeId Survey::child_named(NodeId parent, std::string_view name) const
{
    for (const NodeId child : pool_.node(parent).children) {
        if (pool_.name_text(child) == name) {
            return child;
        }
    }
    return 0;
}

/// A setting names something that is not there: remarkable where the same setting of peers, or of
/// other records of its type, names what is.
void Survey::judge_reference(const Observation& observation)
{
    const Pool::Node& node = pool_.node(observation.node);
    std::string_view name = pool_.name_text(observation.node);
    name.remove_suffix(names_nothing.size());
    const NodeId base = child_named(node.parent, name);
    if (base == 0) {
        return;
    }
    Item item;
    item.node = observation.node;
    item.question = Question::novelty;
    Evidence& evidence = item.evidence;
    evidence.n = judge_.present(base);
    evidence.with = judge_.present(observation.node);
    const Observation* said = seen(base);
    if (evidence.n < few_records && said != nullptr && said->shape != 0 && observation.shape != 0) {
        evidence.n = judge_.present(pool_.node(said->shape).parent);
        evidence.with = judge_.present(pool_.node(observation.shape).parent);
    }
    if (evidence.n < 3 || evidence.with * 2 >= evidence.n) {
        return;
    }
    evidence.k = evidence.with;
    evidence.rarity = rarity(even_volatility, evidence.k, evidence.n);
    keep(std::move(item));
}

/// A digest or a size that is missing says only that the file was read in another way.
bool Survey::is_only_measured(NodeId node) const
{
    const std::string_view name = pool_.name_text(node);
    return pool_.node(node).role == NodeRole::attribute &&
           (name == "sha256" || name == "size" || name == "lines");
}

void Survey::look_for_missing(NodeId parent)
{
    if (strange_[parent] || pool_.node(parent).operational) {
        return;
    }
    for (const NodeId child : pool_.node(parent).children) {
        const Pool::Node& node = pool_.node(child);
        if (node.operational || node.role == NodeRole::kind || node.role == NodeRole::shape ||
            judge_.target_code(child) != code_absent || is_only_measured(child) ||
            pool_.name_text(child).ends_with(names_nothing)) {
            continue;
        }
        const std::size_t here = judge_.present(child);
        const std::size_t above = judge_.present(parent);
        if (here < 2 || (here < 4 && here * 2 < above) || judge_.agrees_with_its_class(child)) {
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

void Survey::keep(Item item)
{
    item.score += -std::log(std::max(item.evidence.rarity.probability, 1e-9)) + prior(item);
    if (item.score >= least) {
        item.cause = cause_of(item);
        items_.push_back(std::move(item));
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

Ranking rank_stemma(const Judge& judge, const RankOptions& options)
{
    return Survey(judge, options).run();
}

} // namespace stemma::analyzer
