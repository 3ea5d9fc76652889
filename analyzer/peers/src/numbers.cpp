#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model.hpp"

namespace stemma::analyzer {

namespace {

/// Numbers of the peers, as they stand and as parts of their memory.
struct Numbers {
    std::vector<double> plain;
    std::vector<double> of_memory;
    std::size_t other_unit = 0;
};

double spread(const std::vector<double>& numbers)
{
    double sum = 0;
    double squares = 0;
    for (const double number : numbers) {
        const double x = std::log(std::max(number, 1e-9));
        sum += x;
        squares += x * x;
    }
    const auto n = static_cast<double>(numbers.size());
    return n < 2 ? 0 : std::sqrt(std::max(0.0, squares / n - (sum / n) * (sum / n)));
}

double memory_of(const Judge& judge, VmIndex vm)
{
    const NodeId node = judge.model().memory;
    if (node == 0) {
        return 0;
    }
    const Pool& pool = judge.model().pool;
    const auto number = parse_unsigned(pool.value_text(node, pool.code_of(node, vm)));
    return number ? static_cast<double>(*number) : 0;
}

Numbers numbers_of(const Judge& judge, NodeId node, const Evidence& evidence, Quantity::Unit unit)
{
    Numbers numbers;
    const Pool& pool = judge.model().pool;
    for (std::size_t i = 0; i < evidence.population.vms.size(); ++i) {
        const auto quantity = quantity_of(pool.value_text(node, evidence.population.codes[i]));
        if (!quantity) {
            continue;
        }
        if (quantity->unit != unit) {
            ++numbers.other_unit;
            continue;
        }
        numbers.plain.push_back(quantity->value);
        const double memory = memory_of(judge, evidence.population.vms[i]);
        if (memory > 0) {
            numbers.of_memory.push_back(quantity->value / memory);
        }
    }
    return numbers;
}

/// Inside of what peers have: less remarkable. Outside: the more, the farther from the nearest.
NumberVerdict place(double own, std::vector<double> others, bool of_memory)
{
    std::sort(others.begin(), others.end());
    const double low = others.front();
    const double high = others.back();
    const auto distinct = std::unique(others.begin(), others.end()) - others.begin();
    NumberVerdict verdict;
    if (own >= low * 0.999 && own <= high * 1.001) {
        verdict.adjust = distinct > 2 ? -1.5 : 0.0;
        return verdict;
    }
    const double nearest = own < low ? low : high;
    const double decades =
        std::fabs(std::log10(std::max(own, 1e-3)) - std::log10(std::max(nearest, 1e-3)));
    verdict.adjust = std::min(3.0, 1.5 * std::max(0.0, decades - 0.3) + decades * 0.5);
    verdict.outside = distinct > 3;
    if (decades >= 0.3) {
        verdict.words = fmt::format("{:.{}g} times the {} of its peers{}",
                                    own / std::max(nearest, 1e-3),
                                    2,
                                    own < low ? "smallest" : "largest",
                                    of_memory ? ", measured by its memory" : "");
    }
    return verdict;
}

} // namespace

NumberVerdict judge_number(const Judge& judge, NodeId node, const Evidence& evidence)
{
    const Pool& pool = judge.model().pool;
    const auto own = quantity_of(pool.value_text(node, judge.target_code(node)));
    if (!own || evidence.n < 2) {
        return {};
    }
    const Numbers numbers = numbers_of(judge, node, evidence, own->unit);
    if (numbers.other_unit * 10 >= evidence.n * 8) {
        return own->unit == Quantity::Unit::none
                   ? NumberVerdict{2.0, false, "it has no unit, its peers' values have one"}
                   : NumberVerdict{0.5, false, "its unit is of another kind than its peers'"};
    }
    if (numbers.plain.size() * 10 < evidence.n * 8) {
        return {};
    }
    const auto memory = static_cast<double>(judge.target().names.memory_mib);
    const bool by_memory = memory > 0 && numbers.of_memory.size() == numbers.plain.size() &&
                           spread(numbers.plain) > 0.05 &&
                           spread(numbers.of_memory) < 0.6 * spread(numbers.plain);
    if (by_memory) {
        NumberVerdict verdict = place(own->value / memory, numbers.of_memory, true);
        verdict.adjust -= verdict.adjust < 0 ? 1.5 : 0; // as large as its memory says
        return verdict;
    }
    return place(own->value, numbers.plain, false);
}

} // namespace stemma::analyzer
