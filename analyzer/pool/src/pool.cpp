#include "stemma/analyzer/pool.hpp"

#include <algorithm>

#include "reading_cache.hpp"

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

Pool::Pool(const std::vector<CanonicalRule>* rules)
    : rules_(rules), cache_(std::make_unique<ReadingCache>())
{
    strings_.intern("");
    nodes_.emplace_back();
    family_for(""); // 0 says that a node has no family yet
}

Pool::~Pool() = default;

NodeId Pool::child(NodeId parent, NodeRole role, std::string_view name)
{
    const StringId id = strings_.intern(name);
    const std::uint64_t key = (static_cast<std::uint64_t>(parent) << 32U) | id;
    const auto made = static_cast<NodeId>(nodes_.size());
    const auto [first, fresh] = lookup_.try_emplace(key, made);
    NodeId last = 0;
    for (NodeId node = fresh ? 0 : first->second; node != 0; node = nodes_[node].twin) {
        if (nodes_[node].role == role) {
            return node;
        }
        last = node;
    }
    Node node;
    node.parent = parent;
    node.name = id;
    node.role = role;
    node.operational = nodes_[parent].operational;
    nodes_.push_back(std::move(node));
    nodes_[parent].children.push_back(made);
    if (last != 0) {
        nodes_[last].twin = made;
    }
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

std::size_t Pool::count(NodeId id, Code code) const
{
    const Node& node = nodes_[id];
    if (code == node.majority) {
        return live_ - node.exceptions.size();
    }
    return code < node.counts.size() ? node.counts[code] : 0;
}

std::size_t Pool::present(NodeId id) const
{
    return id == 0 ? live_ : live_ - count(id, code_absent);
}

std::vector<std::pair<Code, std::size_t>> Pool::counts(NodeId id) const
{
    std::vector<std::pair<Code, std::size_t>> result;
    const Node& node = nodes_[id];
    const auto codes = static_cast<Code>(
        std::max<std::size_t>(node.counts.size(), std::size_t{node.majority} + 1));
    for (Code code = code_present; code < codes; ++code) {
        if (const std::size_t here = count(id, code); here > 0) {
            result.emplace_back(code, here);
        }
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

namespace {

bool is_before(const Pool::Exception& exception, VmIndex vm)
{
    return exception.vm < vm;
}

void add_one(Pool::Node& node, Code code)
{
    if (code >= node.counts.size()) {
        node.counts.resize(std::size_t{code} + 1);
    }
    ++node.counts[code];
}

/// Grows by an eighth: most nodes of a large fleet would leave half of the usual room empty.
void insert_tight(std::vector<Pool::Exception>& list,
                  std::vector<Pool::Exception>::iterator at,
                  Pool::Exception exception)
{
    const auto index = at - list.begin();
    if (list.size() == list.capacity()) {
        list.reserve(list.size() + list.size() / 8 + 2);
    }
    list.insert(list.begin() + index, exception);
}

} // namespace

void Pool::put(NodeId id, VmIndex vm, Code code)
{
    Node& node = nodes_[id];
    auto at = node.exceptions.end();
    if (!node.exceptions.empty() && node.exceptions.back().vm >= vm) {
        at = std::lower_bound(node.exceptions.begin(), node.exceptions.end(), vm, is_before);
    }
    const bool listed = at != node.exceptions.end() && at->vm == vm;
    if ((listed ? at->code : node.majority) == code) {
        return;
    }
    if (listed) {
        --node.counts[at->code];
    }
    if (code == node.majority) {
        node.exceptions.erase(at);
        return;
    }
    add_one(node, code);
    if (listed) {
        at->code = code;
    } else {
        insert_tight(node.exceptions, at, {vm, code});
    }
}

void Pool::drop(NodeId id, VmIndex vm)
{
    Node& node = nodes_[id];
    const auto at = std::lower_bound(node.exceptions.begin(), node.exceptions.end(), vm, is_before);
    if (at != node.exceptions.end() && at->vm == vm) {
        --node.counts[at->code];
        node.exceptions.erase(at);
    }
}

/// Chooses the most common code anew where another one has clearly become that. In small fleets
/// "clearly" is by one VM; in large ones by an eighth of all, so that two codes that are about
/// equally common do not change places with every VM that comes.
void Pool::rebase_if_needed(NodeId id)
{
    const Node& node = nodes_[id];
    if (node.exceptions.size() * 2 <= live_) {
        return;
    }
    const std::size_t now = live_ - node.exceptions.size() + live_ / 8;
    const auto best = std::max_element(node.counts.begin(), node.counts.end());
    if (best != node.counts.end() && *best > now) {
        rebase(id, static_cast<Code>(best - node.counts.begin()));
    }
}

void Pool::rebase(NodeId id, Code best)
{
    Node& node = nodes_[id];
    std::vector<Exception> fresh;
    fresh.reserve(live_ - node.counts[best]);
    std::size_t at = 0;
    for (VmIndex vm = 0; vm < alive_.size(); ++vm) {
        const bool listed = at < node.exceptions.size() && node.exceptions[at].vm == vm;
        const Code code = listed ? node.exceptions[at].code : node.majority;
        at += listed ? 1U : 0U;
        if (alive_[vm] && code != best) {
            fresh.push_back({vm, code});
        }
    }
    const std::size_t before = live_ - node.exceptions.size();
    if (node.majority >= node.counts.size()) {
        node.counts.resize(std::size_t{node.majority} + 1);
    }
    node.counts[node.majority] = static_cast<std::uint32_t>(before);
    node.counts[best] = 0;
    const auto place = std::lower_bound(common_.begin(), common_.end(), id);
    if (node.majority == code_absent) {
        common_.insert(place, id);
    } else if (best == code_absent) {
        common_.erase(place);
    }
    node.majority = best;
    node.exceptions = std::move(fresh);
}

VmIndex Pool::free_index()
{
    if (free_.empty()) {
        names_.emplace_back();
        alive_.push_back(true);
        return static_cast<VmIndex>(names_.size() - 1);
    }
    const VmIndex vm = free_.back();
    free_.pop_back();
    alive_[vm] = true;
    return vm;
}

VmIndex Pool::add(const Sample& sample)
{
    const VmIndex vm = free_index();
    names_[vm] = sample.name;
    ++live_;
    // Two sorted lists side by side: what it has, and what most have.
    std::vector<NodeId> changed;
    std::size_t at = 0;
    const auto note = [&](NodeId id, Code code) {
        if (code != nodes_[id].majority) {
            put(id, vm, code);
            changed.push_back(id);
        }
    };
    for (const Observation& seen : sample.seen) {
        for (; at < common_.size() && common_[at] < seen.node; ++at) {
            note(common_[at], code_absent);
        }
        at += at < common_.size() && common_[at] == seen.node ? 1U : 0U;
        note(seen.node, seen.code);
    }
    for (; at < common_.size(); ++at) {
        note(common_[at], code_absent);
    }
    for (const NodeId id : changed) {
        rebase_if_needed(id);
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
        if (!nodes_[id].exceptions.empty()) {
            drop(id, vm);
            rebase_if_needed(id);
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
            rebase_if_needed(id);
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
                 node.counts.capacity() * sizeof(std::uint32_t) +
                 node.children.capacity() * sizeof(NodeId);
    }
    for (StringId id = 0; id < strings_.size(); ++id) {
        total += 64 + strings_.text(id).size();
    }
    return total + lookup_.size() * 40 + codes_.size() * 40;
}

} // namespace stemma::analyzer
