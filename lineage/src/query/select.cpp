#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

#include "node_finder.hpp"

namespace stemma::lineage {

bool is_pattern(std::string_view text)
{
    return text.find_first_of("*?[") != std::string_view::npos;
}

bool is_hex(std::string_view text)
{
    return std::all_of(text.begin(), text.end(), [](char digit) { return hex_value(digit) >= 0; });
}

std::string after(const std::string& prefix)
{
    return prefix + "\xff";
}

std::pair<std::string, std::string> digest_range(const std::string& low)
{
    return {from_hex(low + std::string(64 - low.size(), '0')).value_or(""),
            from_hex(low + std::string(64 - low.size(), 'f')).value_or("")};
}

Error nothing(std::string what, std::string hint)
{
    return {ErrorCode::not_found, std::move(what), std::move(hint)};
}

namespace {

using Rule = Nodes (NodeFinder::*)();

constexpr std::array<std::pair<std::string_view, Rule>, 13> rules = {{
    {"file", &NodeFinder::file},
    {"blob", &NodeFinder::blob},
    {"commit", &NodeFinder::commit},
    {"repo", &NodeFinder::repo},
    {"build", &NodeFinder::build},
    {"artifact", &NodeFinder::artifact},
    {"package", &NodeFinder::package},
    {"image", &NodeFinder::image},
    {"release", &NodeFinder::release},
    {"vm", &NodeFinder::vm},
    {"host", &NodeFinder::host},
    {"snapshot", &NodeFinder::snapshot},
    {"event", &NodeFinder::event},
}};

std::set<Kind> kinds_of(const Nodes& nodes)
{
    std::set<Kind> kinds;
    for (const auto node : nodes) {
        kinds.insert(node.kind);
    }
    return kinds;
}

/// "host:a & package:b" has no member by nature, which is hardly what was meant.
void check_comparable(const Nodes& a, const Nodes& b, char sign)
{
    const auto left = kinds_of(a);
    const auto right = kinds_of(b);
    if (left.empty() || right.empty() ||
        std::find_first_of(left.begin(), left.end(), right.begin(), right.end()) != left.end()) {
        return;
    }
    throw Error(ErrorCode::usage,
                fmt::format("'{}' between {}s and {}s: they have nothing in common by nature",
                            sign,
                            to_string(*left.begin()),
                            to_string(*right.begin())),
                "select the same kind on both sides, for instance two sets of VMs");
}

} // namespace

Nodes Query::Impl::leaf(const Selector& selector)
{
    for (const auto& [kind, rule] : rules) {
        if (kind == selector.kind) {
            return (NodeFinder(*this, selector.value).*rule)();
        }
    }
    throw Error(ErrorCode::usage, fmt::format("there is no selector '{}:'", selector.kind));
}

Nodes Query::Impl::evaluate(const Selection& selection)
{
    if (selection.operation == Selection::Operation::leaf) {
        return leaf(selection.leaf);
    }
    Nodes result;
    bool first = true;
    for (const auto& side : selection.sides) {
        auto nodes = evaluate(side);
        if (first || selection.operation == Selection::Operation::unite) {
            result.merge(nodes);
            first = false;
            continue;
        }
        const bool intersect = selection.operation == Selection::Operation::intersect;
        check_comparable(result, nodes, intersect ? '&' : '-');
        std::erase_if(result, [&](Node node) { return (nodes.count(node) != 0) != intersect; });
    }
    return result;
}

} // namespace stemma::lineage
