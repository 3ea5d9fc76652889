#include <algorithm>
#include <array>
#include <cmath>

#include "model.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t max_depth = 3;
constexpr double enough_gain = 1;

constexpr std::size_t max_columns = 16;
constexpr std::size_t max_rows = 13;

/// The values of a population as a few columns. What one VM alone says is one column together: it
/// is noise to every context.
struct Columns {
    std::vector<std::uint8_t> of; ///< beside the population's VMs
    std::array<std::uint32_t, max_columns> sums{};
    double used = 0;
};

/// How often each code occurs; codes are small numbers.
std::vector<std::uint32_t> counts_of(const std::vector<Code>& codes)
{
    std::vector<std::uint32_t> counts;
    for (const Code code : codes) {
        if (code >= counts.size()) {
            counts.resize(std::size_t{code} + 1);
        }
        ++counts[code];
    }
    return counts;
}

Columns columns_of(const Population& population)
{
    const auto counts = counts_of(population.codes);
    Columns columns;
    columns.of.reserve(population.codes.size());
    std::vector<std::uint8_t> column_of(counts.size(), 0);
    std::size_t taken = 0;
    for (const Code code : population.codes) {
        std::uint8_t& column = column_of[code];
        if (column == 0 && counts[code] > 1) {
            taken = std::min(taken + 1, max_columns - 1);
            column = static_cast<std::uint8_t>(taken);
        }
        columns.of.push_back(column);
        ++columns.sums[column];
    }
    for (const std::uint32_t sum : columns.sums) {
        columns.used += sum > 0 ? 1 : 0;
    }
    return columns;
}

double log_of(std::uint32_t number)
{
    static const std::vector<double> table = [] {
        std::vector<double> logs(16'384, 0);
        for (std::size_t i = 1; i < logs.size(); ++i) {
            logs[i] = std::log(static_cast<double>(i));
        }
        return logs;
    }();
    return number < table.size() ? table[number] : std::log(static_cast<double>(number));
}

double gain_of(const Population& population,
               const Columns& columns,
               const Context& context,
               double choices)
{
    std::array<std::array<std::uint32_t, max_columns>, max_rows> table{};
    std::array<std::uint32_t, max_rows> row_sums{};
    std::uint32_t n = 0;
    for (std::size_t i = 0; i < population.vms.size(); ++i) {
        const std::uint8_t row = context.class_of[population.vms[i]];
        if (row < max_rows) {
            ++table[row][columns.of[i]];
            ++row_sums[row];
            ++n;
        }
    }
    double information = 0;
    double rows = 0;
    for (std::size_t r = 0; r < context.classes && r < max_rows; ++r) {
        rows += row_sums[r] > 0 ? 1 : 0;
        for (std::size_t c = 0; c < max_columns; ++c) {
            if (const std::uint32_t both = table[r][c]; both > 0) {
                information += both * (log_of(both) + log_of(n) - log_of(row_sums[r]) -
                                       log_of(columns.sums[c]));
            }
        }
    }
    if (rows < 2 || n < 4) {
        return 0;
    }
    return information - 0.5 * (rows - 1) * std::max(1.0, columns.used - 1) * log_of(n) -
           std::log(choices);
}

} // namespace

double description_gain(const Population& population, const Context& context, double choices)
{
    return gain_of(population, columns_of(population), context, choices);
}

Judge::Judge(const PeerModel::Impl& model, const Sample& target, const RankOptions& options)
    : model_(model),
      target_(target),
      excluded_(options.exclude),
      codes_(model.pool.nodes(), code_absent)
{
    std::sort(excluded_.begin(), excluded_.end());
    for (const Observation& observation : target.seen) {
        codes_[observation.node] = observation.code;
    }
    choose_peers();
}

void Judge::choose_peers()
{
    for (const VmIndex vm : model_.live) {
        if (is_peer(vm)) {
            compared_.push_back(vm);
        }
    }
    if (compared_.size() <= many_peers) {
        return;
    }
    std::vector<std::pair<std::size_t, VmIndex>> shared; // contexts that a VM shares, negated
    for (const VmIndex vm : compared_) {
        shared.emplace_back(0, vm);
    }
    for (const Context& context : model_.contexts) {
        const std::uint8_t own = class_of_target(context, 0);
        for (auto& [count, vm] : shared) {
            count += own == no_class || context.class_of[vm] != own ? 1U : 0U;
        }
    }
    // A quarter from anywhere, so that the fleet as a whole is seen too.
    const auto some = mixed_sample(compared_, many_peers / 4);
    for (auto& [count, vm] : shared) {
        count = std::binary_search(some.begin(), some.end(), vm) ? 0 : count;
    }
    std::nth_element(shared.begin(), shared.begin() + many_peers, shared.end());
    compared_.clear();
    for (std::size_t i = 0; i < many_peers; ++i) {
        compared_.push_back(shared[i].second);
    }
    std::sort(compared_.begin(), compared_.end());
}

bool Judge::agrees_with_its_class(NodeId node) const
{
    if (model_.live.size() <= some_peers) {
        return false; // few enough to be asked one by one
    }
    const Split& split = model_.split_of(node);
    if (split.context == nullptr) { // then the fleet as a whole is its class
        const Pool::Node& asked = model_.pool.node(node);
        return target_code(node) == asked.majority &&
               asked.exceptions.size() * 2 < model_.live.size();
    }
    const std::uint8_t own = class_of_target(*split.context, model_.file_of[node]);
    if (own >= split.said_by.size() || split.said_by[own] != target_code(node)) {
        return false;
    }
    constexpr std::ptrdiff_t enough = 3; // of others: those that are left out must not speak
    const auto left_out = std::count_if(excluded_.begin(), excluded_.end(), [&](VmIndex vm) {
        return split.context->class_of[vm] == own;
    });
    return split.sizes[own] - left_out >= enough;
}

bool Judge::is_peer(VmIndex vm) const
{
    return !std::binary_search(excluded_.begin(), excluded_.end(), vm);
}

std::size_t Judge::peers() const
{
    std::size_t left_out = 0;
    for (const VmIndex vm : excluded_) {
        left_out += model_.pool.is_live(vm) ? 1U : 0U;
    }
    return model_.live.size() - left_out;
}

std::size_t Judge::present(NodeId node) const
{
    std::size_t count = model_.pool.present(node);
    for (const VmIndex vm : excluded_) {
        if (model_.pool.is_live(vm) &&
            (node == 0 || model_.pool.code_of(node, vm) != code_absent)) {
            --count;
        }
    }
    return count;
}

Population Judge::population(NodeId id, Question question) const
{
    Population result;
    const Pool::Node& node = model_.pool.node(id);
    const bool always = node.parent == 0 || model_.pool.node(node.parent).role == NodeRole::kind;
    Walk own(node);
    Walk above(model_.pool.node(node.parent));
    for (const VmIndex vm : compared_) {
        const Code code = own.at(vm);
        if (question == Question::value) {
            if (code != code_absent) {
                result.vms.push_back(vm);
                result.codes.push_back(code);
            }
        } else if (always || above.at(vm) != code_absent) {
            result.vms.push_back(vm);
            result.codes.push_back(code == code_absent ? code_absent : code_present);
        }
    }
    return result;
}

std::uint8_t Judge::class_of_target(const Context& context, NodeId file) const
{
    std::array<std::size_t, 256> votes{};
    for (const Context::Support& support : context.supports) {
        if (support.file == file) {
            continue; // what is judged must not choose its own peers
        }
        const auto found = support.class_of.find(target_code(support.node));
        if (found != support.class_of.end()) {
            ++votes[found->second];
        }
    }
    const auto best = std::max_element(votes.begin(), votes.end());
    return *best == 0 ? no_class : static_cast<std::uint8_t>(best - votes.begin());
}

Judge::Branch Judge::best_branch(NodeId node, const Population& population) const
{
    const Columns columns = columns_of(population);
    const auto choices = static_cast<double>(model_.contexts.size());
    double best = enough_gain;
    Branch chosen;
    for (const Context& context : model_.contexts) {
        const double gain = gain_of(population, columns, context, choices);
        if (gain <= best) {
            continue;
        }
        const std::uint8_t own = class_of_target(context, model_.file_of[node]);
        if (own != no_class) {
            best = gain;
            chosen = {&context, own};
        }
    }
    return chosen;
}

void Judge::narrow(NodeId node, Evidence& evidence) const
{
    Population& population = evidence.population;
    for (std::size_t depth = 0; depth < max_depth && population.vms.size() >= 4; ++depth) {
        const bool uniform = std::adjacent_find(population.codes.begin(),
                                                population.codes.end(),
                                                std::not_equal_to<>()) == population.codes.end();
        if (uniform) {
            return;
        }
        const auto [context, own] = best_branch(node, population);
        if (context == nullptr) {
            return;
        }
        Population part;
        for (std::size_t i = 0; i < population.vms.size(); ++i) {
            if (context->class_of[population.vms[i]] == own) {
                part.vms.push_back(population.vms[i]);
                part.codes.push_back(population.codes[i]);
            }
        }
        if (part.vms.size() < 3 || part.vms.size() == population.vms.size()) {
            return;
        }
        population = std::move(part);
        evidence.contexts.push_back(context);
    }
}

void Judge::count(NodeId node, Question question, Evidence& evidence) const
{
    const auto counts = counts_of(evidence.population.codes);
    Code own = target_code(node);
    if (question != Question::value) {
        own = own == code_absent ? code_absent : code_present;
    }
    evidence.n = evidence.population.codes.size();
    evidence.with = own < counts.size() ? counts[own] : 0;
    // A single peer's value is alone by nature: it does not tell of rare values.
    const std::size_t limit =
        evidence.n == 1 ? evidence.with : std::max<std::size_t>(evidence.with, 1);
    for (Code code = 0; code < counts.size(); ++code) {
        const std::size_t number = counts[code];
        if (number <= limit) {
            evidence.k += number;
        }
        if (number > evidence.agreeing) { // of equally common ones the first
            evidence.agreeing = number;
            evidence.expected = code;
        }
    }
}

/// What is new in a folder is compared with what else is new there of its sort: a service beside
/// services says nothing of a folder of drop-ins.
std::string_view Judge::sort_of(NodeId node) const
{
    if (model_.pool.node(node).role != NodeRole::path) {
        return {};
    }
    const std::string_view name = model_.pool.name_text(node);
    const auto dot = name.rfind('.');
    const std::string_view ending =
        dot == std::string_view::npos || dot == 0 ? std::string_view{} : name.substr(dot);
    const bool letters = std::all_of(ending.begin(), ending.end(), [](char byte) {
        return byte == '.' || (byte >= 'a' && byte <= 'z');
    });
    return letters ? ending : std::string_view{};
}

std::size_t Judge::novel_tail(NodeId node, std::size_t common) const
{
    const NodeId parent = model_.pool.node(node).parent;
    const std::string_view sort = sort_of(node);
    const auto [found, fresh] = tails_.try_emplace({parent, common, std::string(sort)}, 0);
    if (!fresh) {
        return found->second;
    }
    std::unordered_set<VmIndex> vms;
    for (const NodeId child : model_.pool.node(parent).children) {
        const Pool::Node& node = model_.pool.node(child);
        if (node.majority != code_absent || node.exceptions.size() > common + excluded_.size() ||
            node.operational || sort_of(child) != sort) {
            continue;
        }
        if (const std::size_t here = present(child); here > common || here == 0) {
            continue;
        }
        for (const Pool::Exception& exception : node.exceptions) {
            if (is_peer(exception.vm)) {
                vms.insert(exception.vm);
            }
        }
    }
    return found->second = vms.size();
}

Evidence Judge::judge(NodeId id, Question question) const
{
    const Pool::Node& node = model_.pool.node(id);
    Evidence evidence;
    evidence.population = population(id, question);
    narrow(id, evidence);
    count(id, question, evidence);
    Volatility volatility = question == Question::value ? model_.for_values[node.family]
                                                        : model_.for_presence[node.family];
    if (question == Question::novelty) {
        volatility = even_volatility;
        const std::size_t tail = novel_tail(id, std::max<std::size_t>(1, evidence.with));
        evidence.k = std::min(evidence.n, std::max(evidence.with, tail));
    }
    evidence.rarity = rarity(volatility, std::min(evidence.k, evidence.n), evidence.n);
    return evidence;
}

Evidence Judge::judge_shape(NodeId element) const
{
    const Pool::Node& node = model_.pool.node(element);
    Evidence evidence;
    evidence.n = present(node.parent);
    evidence.with = present(element);
    const std::size_t tail = novel_tail(element, std::max<std::size_t>(1, evidence.with));
    evidence.k = std::min(evidence.n, std::max(evidence.with, tail));
    evidence.rarity = rarity(even_volatility, evidence.k, evidence.n);
    std::size_t pairs = 0;
    for (const NodeId other : model_.pool.node(node.parent).children) {
        const std::size_t here = present(other);
        pairs += here;
        if (here > evidence.agreeing) {
            evidence.agreeing = here;
            evidence.expected = other;
        }
    }
    if (pairs > evidence.n * 3) {
        evidence.agreeing = 0; // VMs have several values here: no one of them is expected
    }
    return evidence;
}

} // namespace stemma::analyzer
