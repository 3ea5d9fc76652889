#include "stemma/analyzer/pool.hpp"

#include <algorithm>

namespace stemma::analyzer {

StringId StringTable::intern(std::string_view text)
{
    if (const auto found = ids_.find(text); found != ids_.end()) {
        return found->second;
    }
    const auto id = static_cast<StringId>(texts_.size());
    texts_.emplace_back(text);
    ids_.emplace(texts_.back(), id);
    return id;
}

Pool::Pool(const std::vector<CanonicalRule>* rules) : rules_(rules)
{
    strings_.intern("");
    nodes_.emplace_back();
}

NodeId Pool::child(NodeId parent, NodeRole role, std::string_view name)
{
    const StringId id = strings_.intern(name);
    const std::uint64_t key = (static_cast<std::uint64_t>(parent) << 32U) | id;
    auto& same = lookup_[key];
    for (const NodeId node : same) {
        if (nodes_[node].role == role) {
            return node;
        }
    }
    const auto made = static_cast<NodeId>(nodes_.size());
    Node node;
    node.parent = parent;
    node.name = id;
    node.role = role;
    node.operational = nodes_[parent].operational;
    nodes_.push_back(std::move(node));
    nodes_[parent].children.push_back(made);
    same.push_back(made);
    return made;
}

Code Pool::code_for(NodeId id, std::string_view value)
{
    const StringId text = strings_.intern(value);
    const std::uint64_t key = (static_cast<std::uint64_t>(id) << 32U) | text;
    const auto [found, fresh] = codes_.try_emplace(key, code_absent);
    if (fresh) {
        found->second = static_cast<Code>(nodes_[id].values.size()) + first_value_code;
        nodes_[id].values.push_back(text);
    }
    return found->second;
}

std::uint32_t Pool::family_for(std::string_view text)
{
    const auto next = static_cast<std::uint32_t>(families_.size());
    return families_.try_emplace(std::string(text), next).first->second;
}

std::optional<VmIndex> Pool::find(std::string_view name) const
{
    for (VmIndex vm = 0; vm < names_.size(); ++vm) {
        if (alive_[vm] && names_[vm] == name) {
            return vm;
        }
    }
    return std::nullopt;
}

Code Pool::code_of(NodeId id, VmIndex vm) const
{
    const Node& node = nodes_[id];
    const auto at = std::lower_bound(node.exceptions.begin(),
                                     node.exceptions.end(),
                                     vm,
                                     [](const Exception& e, VmIndex v) { return e.vm < v; });
    return at != node.exceptions.end() && at->vm == vm ? at->code : node.majority;
}

std::size_t Pool::present(NodeId id) const
{
    if (id == 0) {
        return live_;
    }
    const Node& node = nodes_[id];
    if (node.majority == code_absent) {
        return node.exceptions.size();
    }
    std::size_t lacking = 0;
    for (const Exception& exception : node.exceptions) {
        lacking += exception.code == code_absent ? 1U : 0U;
    }
    return live_ - lacking;
}

std::vector<std::pair<Code, std::size_t>> Pool::counts(NodeId id) const
{
    std::vector<std::pair<Code, std::size_t>> result;
    const Node& node = nodes_[id];
    std::unordered_map<Code, std::size_t> where;
    if (node.majority != code_absent && live_ > node.exceptions.size()) {
        where.emplace(node.majority, 0);
        result.emplace_back(node.majority, live_ - node.exceptions.size());
    }
    for (const Exception& exception : node.exceptions) {
        if (exception.code == code_absent) {
            continue;
        }
        const auto [found, fresh] = where.try_emplace(exception.code, result.size());
        if (fresh) {
            result.emplace_back(exception.code, 0);
        }
        ++result[found->second].second;
    }
    return result;
}

std::string_view Pool::value_text(NodeId id, Code code) const
{
    if (code < first_value_code) {
        return code == code_present ? "present" : "";
    }
    return strings_.text(nodes_[id].values[code - first_value_code]);
}

void Pool::put(NodeId id, VmIndex vm, Code code)
{
    Node& node = nodes_[id];
    auto at = std::lower_bound(node.exceptions.begin(),
                               node.exceptions.end(),
                               vm,
                               [](const Exception& e, VmIndex v) { return e.vm < v; });
    if (at != node.exceptions.end() && at->vm == vm) {
        if (code == node.majority) {
            node.exceptions.erase(at);
        } else {
            at->code = code;
        }
    } else if (code != node.majority) {
        node.exceptions.insert(at, {vm, code});
    }
}

void Pool::drop(NodeId id, VmIndex vm)
{
    Node& node = nodes_[id];
    const auto at = std::lower_bound(node.exceptions.begin(),
                                     node.exceptions.end(),
                                     vm,
                                     [](const Exception& e, VmIndex v) { return e.vm < v; });
    if (at != node.exceptions.end() && at->vm == vm) {
        node.exceptions.erase(at);
    }
}

/// Chooses the most common code anew where the exceptions have become the larger part.
void Pool::rebase(NodeId id)
{
    Node& node = nodes_[id];
    if (node.exceptions.size() * 2 <= live_) {
        return;
    }
    std::unordered_map<Code, std::size_t> where;
    Code best = node.majority;
    std::size_t most = live_ - node.exceptions.size();
    for (const Exception& exception : node.exceptions) {
        const std::size_t count = ++where[exception.code];
        if (count > most) {
            most = count;
            best = exception.code;
        }
    }
    if (best == node.majority) {
        return;
    }
    std::vector<Exception> fresh;
    fresh.reserve(live_ - most);
    std::size_t at = 0;
    for (VmIndex vm = 0; vm < alive_.size(); ++vm) {
        const bool listed = at < node.exceptions.size() && node.exceptions[at].vm == vm;
        const Code code = listed ? node.exceptions[at].code : node.majority;
        at += listed ? 1U : 0U;
        if (alive_[vm] && code != best) {
            fresh.push_back({vm, code});
        }
    }
    node.majority = best;
    node.exceptions = std::move(fresh);
}

VmIndex Pool::add(const Sample& sample)
{
    VmIndex vm = 0;
    if (free_.empty()) {
        vm = static_cast<VmIndex>(names_.size());
        names_.push_back(sample.name);
        alive_.push_back(true);
    } else {
        vm = free_.back();
        free_.pop_back();
        names_[vm] = sample.name;
        alive_[vm] = true;
    }
    ++live_;
    // `seen` is sorted by node, so one pass over all nodes finds what this VM lacks too.
    std::size_t at = 0;
    for (NodeId id = 1; id < nodes_.size(); ++id) {
        Code code = code_absent;
        if (at < sample.seen.size() && sample.seen[at].node == id) {
            code = sample.seen[at++].code;
        }
        if (code != nodes_[id].majority) {
            put(id, vm, code);
            rebase(id);
        }
    }
    return vm;
}

void Pool::remove(VmIndex vm)
{
    if (!is_live(vm)) {
        return;
    }
    alive_[vm] = false;
    names_[vm].clear();
    free_.push_back(vm);
    --live_;
    for (NodeId id = 1; id < nodes_.size(); ++id) {
        drop(id, vm);
        if (!nodes_[id].exceptions.empty()) {
            rebase(id);
        }
    }
}

void Pool::replace(VmIndex vm, const Sample& sample)
{
    names_[vm] = sample.name;
    std::size_t at = 0;
    for (NodeId id = 1; id < nodes_.size(); ++id) {
        Code code = code_absent;
        if (at < sample.seen.size() && sample.seen[at].node == id) {
            code = sample.seen[at++].code;
        }
        const bool plain = nodes_[id].exceptions.empty() && code == nodes_[id].majority;
        if (!plain) {
            put(id, vm, code);
            rebase(id);
        }
    }
}

std::pair<std::string, std::string> Pool::describe(NodeId id) const
{
    std::vector<NodeId> chain;
    for (NodeId at = id; at != 0; at = nodes_[at].parent) {
        chain.push_back(at);
    }
    std::string file;
    std::string key;
    for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
        const Node& node = nodes_[*at];
        const std::string_view name = strings_.text(node.name);
        switch (node.role) {
        case NodeRole::path:
            file.append("/").append(name);
            break;
        case NodeRole::kind:
            if (name != "files") {
                file = std::string(name) + ":";
            }
            break;
        case NodeRole::element:
            key.append(name);
            break;
        case NodeRole::list:
            key.append(key.empty() ? "" : "/").append(name).append("∋");
            break;
        default:
            key.append(key.empty() ? "" : "/").append(name);
            break;
        }
    }
    return {std::move(file), std::move(key)};
}

std::size_t Pool::bytes() const
{
    std::size_t total = 0;
    for (const Node& node : nodes_) {
        total += sizeof node + node.exceptions.capacity() * sizeof(Exception) +
                 node.values.capacity() * sizeof(StringId) +
                 node.children.capacity() * sizeof(NodeId);
    }
    for (StringId id = 0; id < strings_.size(); ++id) {
        total += 64 + strings_.text(id).size();
    }
    return total + lookup_.size() * 56 + codes_.size() * 40;
}

} // namespace stemma::analyzer
