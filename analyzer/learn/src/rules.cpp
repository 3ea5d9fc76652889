#include "stemma/analyzer/rules.hpp"

#include "stemma/analyzer/canonical.hpp"
#include "stemma/config/yaml.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

namespace stemma::analyzer {

namespace {

using config::Node;

constexpr std::uint64_t largest_file = 1ULL << 20U;

std::vector<std::string> texts_from(const Node& node)
{
    std::vector<std::string> texts;
    if (node.is_scalar()) {
        texts.push_back(node.text());
        return texts;
    }
    for (const auto& element : node.elements()) {
        texts.push_back(element.text());
    }
    return texts;
}

std::optional<double> number_from(const Node& condition, std::string_view key)
{
    const auto node = condition.find(key);
    if (!node) {
        return std::nullopt;
    }
    const auto quantity = quantity_of(node->text());
    if (!quantity) {
        node->refuse(fmt::format("'{}' is not a number", printable(node->text())),
                     "a unit may follow it: 64M, 30s, 85%");
    }
    return quantity->value;
}

Condition condition_from(const Node& node)
{
    node.allow_only(
        {"feature", "exists", "is", "is_not", "one_of", "none_of", "matches", "below", "above"});
    Condition condition;
    condition.feature = node.at("feature").text();
    if (const auto exists = node.find("exists")) {
        condition.exists = exists->boolean();
    }
    for (const auto* key : {"is", "one_of"}) {
        if (const auto values = node.find(key)) {
            condition.one_of = texts_from(*values);
        }
    }
    for (const auto* key : {"is_not", "none_of"}) {
        if (const auto values = node.find(key)) {
            condition.none_of = texts_from(*values);
        }
    }
    if (const auto pattern = node.find("matches")) {
        condition.matches = pattern->text();
    }
    condition.below = number_from(node, "below");
    condition.above = number_from(node, "above");
    return condition;
}

std::vector<Condition> conditions_from(const Node& rule, std::string_view key)
{
    std::vector<Condition> conditions;
    if (const auto node = rule.find(key)) {
        for (const auto& element : node->elements()) {
            conditions.push_back(condition_from(element));
        }
    }
    return conditions;
}

bool contains(const std::vector<std::string>& list, const std::string& text)
{
    return std::find(list.begin(), list.end(), text) != list.end();
}

bool value_holds(const Condition& condition, const std::string& value)
{
    if ((!condition.one_of.empty() && !contains(condition.one_of, value)) ||
        contains(condition.none_of, value) ||
        (condition.matches && !glob_match(*condition.matches, value))) {
        return false;
    }
    if (!condition.below && !condition.above) {
        return true;
    }
    const auto quantity = quantity_of(value);
    return quantity && (!condition.below || quantity->value < *condition.below) &&
           (!condition.above || quantity->value > *condition.above);
}

/// Applies one rule to one VM.
class Trial {
public:
    Trial(const Matrix& matrix, std::size_t vm) : matrix_(matrix), vm_(vm) {}

    std::optional<std::vector<RuleHit::Evidence>> hit(const Rule& rule)
    {
        const auto is_met = [this](const Condition& condition) { return this->holds(condition); };
        if (std::any_of(rule.none.begin(), rule.none.end(), is_met)) {
            return std::nullopt;
        }
        evidence_.clear();
        const bool right =
            std::all_of(rule.all.begin(), rule.all.end(), is_met) &&
            (rule.any.empty() || std::any_of(rule.any.begin(), rule.any.end(), is_met));
        return right ? std::optional(std::move(evidence_)) : std::nullopt;
    }

private:
    bool holds(const Condition& condition)
    {
        for (std::size_t column = 0; column < matrix_.columns.size(); ++column) {
            const std::string* value = matrix_.value(vm_, column);
            const auto& name = matrix_.columns[column].name;
            if (value == nullptr ||
                (name != condition.feature && !glob_match(condition.feature, name)) ||
                !value_holds(condition, *value)) {
                continue;
            }
            if (condition.exists && !*condition.exists) {
                return false;
            }
            evidence_.push_back({name, *value});
            return true;
        }
        if (condition.exists && !*condition.exists) {
            evidence_.push_back({condition.feature, std::nullopt});
            return true;
        }
        return false;
    }

    const Matrix& matrix_;
    std::size_t vm_;
    std::vector<RuleHit::Evidence> evidence_;
};

} // namespace

std::vector<Rule> parse_rules(std::string_view text, const std::string& name)
{
    const auto root = Node::parse(text, name);
    root.allow_only({"version", "rules"});
    static_cast<void>(root.at("version").integer_within(1, 1));
    std::vector<Rule> rules;
    for (const auto& node : root.at("rules").elements()) {
        node.allow_only({"name", "label", "because", "all", "any", "none"});
        Rule rule;
        rule.name = node.at("name").text();
        rule.label = node.at("label").text();
        if (const auto because = node.find("because")) {
            rule.because = because->text();
        }
        rule.all = conditions_from(node, "all");
        rule.any = conditions_from(node, "any");
        rule.none = conditions_from(node, "none");
        if (rule.all.empty() && rule.any.empty()) {
            node.refuse("a rule without a condition", "give it 'all' or 'any'");
        }
        rules.push_back(std::move(rule));
    }
    return rules;
}

std::vector<Rule> load_rules(const std::filesystem::path& file)
{
    return parse_rules(read_file(file, largest_file), file.string());
}

std::vector<RuleHit> apply_rules(const std::vector<Rule>& rules, const Matrix& matrix)
{
    std::vector<RuleHit> hits;
    for (std::size_t vm = 0; vm < matrix.vms.size(); ++vm) {
        for (std::size_t rule = 0; rule < rules.size(); ++rule) {
            if (auto evidence = Trial(matrix, vm).hit(rules[rule])) {
                hits.push_back({vm, rule, std::move(*evidence)});
            }
        }
    }
    return hits;
}

} // namespace stemma::analyzer
