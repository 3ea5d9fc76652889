#include "model.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>
#include <cmath>

namespace stemma::analyzer {

namespace {

constexpr std::size_t max_contexts = 300;
constexpr std::size_t max_context_vms = 2'000;
constexpr std::size_t enough_for_a_split = 512;
constexpr std::size_t max_classes = 12;
constexpr std::size_t max_supports = 8;

/// The classes of a partition in order of first occurrence, and how many VMs each has.
struct Partition {
    std::vector<std::uint8_t> classes;
    std::vector<std::uint32_t> sizes;
    std::unordered_map<Code, std::uint8_t> class_of;
};

/// nullopt when a node's values do not make a partition worth looking at.
std::optional<Partition> partition_of(const Pool& pool, const std::vector<VmIndex>& vms, NodeId id)
{
    const Pool::Node& node = pool.node(id);
    if (node.exceptions.size() < 3) {
        return std::nullopt;
    }
    Partition partition;
    partition.classes.reserve(vms.size());
    Walk codes(node);
    for (const VmIndex vm : vms) {
        const Code code = codes.at(vm);
        const auto next = static_cast<std::uint8_t>(partition.sizes.size());
        const auto [found, fresh] = partition.class_of.try_emplace(code, next);
        if (fresh) {
            if (partition.sizes.size() >= max_classes) {
                return std::nullopt;
            }
            partition.sizes.push_back(0);
        }
        ++partition.sizes[found->second];
        partition.classes.push_back(found->second);
    }
    std::size_t large = 0;
    for (const std::uint32_t size : partition.sizes) {
        if (size < 2) {
            return std::nullopt;
        }
        large += size >= 3 ? 1U : 0U;
    }
    return large >= 2 ? std::optional(std::move(partition)) : std::nullopt;
}

struct Candidate {
    Context context;
    std::size_t files = 0;
    std::unordered_set<NodeId> seen;
};

/// Puts all VMs into a context's classes, by what its first support says of them.
void classify_all(const Pool& pool, const std::vector<VmIndex>& vms, Context& context)
{
    const Context::Support& support = context.supports.front();
    Walk codes(pool.node(support.node));
    for (const VmIndex vm : vms) {
        const auto found = support.class_of.find(codes.at(vm));
        context.class_of[vm] = found == support.class_of.end() ? no_class : found->second;
    }
}

} // namespace

std::vector<VmIndex> mixed_sample(std::vector<VmIndex> vms, std::size_t most)
{
    if (vms.size() <= most) {
        return vms;
    }
    const auto mixed = [](VmIndex vm) {
        std::uint64_t bits = (vm + 1) * 0x9E3779B97F4A7C15ULL; // SplitMix64
        bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9ULL;
        return bits ^ (bits >> 27U);
    };
    const auto end = vms.begin() + static_cast<std::ptrdiff_t>(most);
    std::nth_element(
        vms.begin(), end, vms.end(), [&](VmIndex a, VmIndex b) { return mixed(a) < mixed(b); });
    vms.erase(end, vms.end());
    std::sort(vms.begin(), vms.end());
    return vms;
}

PeerModel::Impl::Impl(const Pool& source) : pool(source)
{
    for (VmIndex vm = 0; vm < pool.end(); ++vm) {
        if (pool.is_live(vm)) {
            live.push_back(vm);
        }
    }
    learn_files();
    learn_volatility();
    learn_contexts();
}

void PeerModel::Impl::learn_files()
{
    file_of.assign(pool.nodes(), 0);
    for (NodeId id = 1; id < pool.nodes(); ++id) {
        const Pool::Node& node = pool.node(id);
        const NodeRole above = pool.node(node.parent).role;
        if (node.role == NodeRole::path ||
            (node.role == NodeRole::record && above == NodeRole::kind)) {
            file_of[id] = id;
        } else {
            file_of[id] = file_of[node.parent];
        }
        if (node.role == NodeRole::kind && pool.name_text(id) == "types") {
            types = id;
        }
        if (node.role == NodeRole::setting && pool.name_text(id) == "memory_mib") {
            memory = id;
        }
    }
}

void PeerModel::Impl::learn_volatility()
{
    std::vector<TailCounts> values(pool.families());
    std::vector<TailCounts> presence(pool.families());
    TailCounts all_values;
    TailCounts all_presence;
    for (NodeId id = 1; id < pool.nodes(); ++id) {
        const Pool::Node& node = pool.node(id);
        if (node.operational || node.role == NodeRole::kind || node.role == NodeRole::shape ||
            pool.node(node.parent).role == NodeRole::shape) {
            continue;
        }
        const auto n = static_cast<std::uint32_t>(pool.present(node.parent));
        const auto here = static_cast<std::uint32_t>(pool.present(id));
        if (here * 2 > n) { // something that is usually there: how often is it missing?
            const std::pair key{n - here, n};
            // Between a tenth and a half missing is a matter of contexts, not of volatility.
            if (n < 10 || (n - here) * 10 <= n) {
                presence[node.family][key] += 1;
                all_presence[key] += 1;
            }
        }
        if (!node.values.empty() && here >= 2) {
            std::uint32_t single = 0;
            for (const auto& [code, count] : pool.counts(id)) {
                single += count == 1 ? 1U : 0U;
            }
            values[node.family][{single, here}] += 1;
            all_values[{single, here}] += 1;
        }
    }
    const Volatility global_values = fit_volatility(all_values, {}, 50);
    const Volatility global_presence = fit_volatility(all_presence, {}, 50);
    for (std::size_t family = 0; family < pool.families(); ++family) {
        for_values.push_back(fit_volatility(values[family], global_values, 10));
        for_presence.push_back(fit_volatility(presence[family], global_presence, 10));
    }
}

namespace {

/// VMs are told apart by what somebody set, and not by what a value looks like.
bool may_divide(const Pool& pool, NodeId id, NodeId types)
{
    const Pool::Node& node = pool.node(id);
    return !node.operational && node.role != NodeRole::kind && node.parent != types &&
           node.role != NodeRole::shape && pool.node(node.parent).role != NodeRole::shape;
}

} // namespace

void PeerModel::Impl::learn_contexts()
{
    sample = mixed_sample(live, max_context_vms);
    few = mixed_sample(live, enough_for_a_split);
    const std::vector<VmIndex>& vms = sample;
    if (vms.size() < 8) {
        return;
    }
    std::unordered_map<std::string, Candidate> found;
    for (NodeId id = 1; id < pool.nodes(); ++id) {
        if (!may_divide(pool, id, types)) {
            continue;
        }
        auto partition = partition_of(pool, vms, id);
        if (!partition) {
            continue;
        }
        const std::string key(partition->classes.begin(), partition->classes.end());
        Candidate& candidate = found[key];
        if (candidate.context.classes == 0) {
            candidate.context.classes = static_cast<std::uint8_t>(partition->sizes.size());
            candidate.context.class_of.assign(pool.end(), no_class);
            for (std::size_t i = 0; i < vms.size(); ++i) {
                candidate.context.class_of[vms[i]] = partition->classes[i];
            }
        }
        if (candidate.seen.insert(file_of[id]).second) {
            ++candidate.files;
            if (candidate.context.supports.size() < max_supports) {
                candidate.context.supports.push_back(
                    {id, file_of[id], std::move(partition->class_of)});
            }
        }
    }
    std::vector<Candidate*> order;
    for (auto& [key, candidate] : found) {
        if (candidate.files >= 2) {
            order.push_back(&candidate);
        }
    }
    std::sort(order.begin(), order.end(), [](const Candidate* a, const Candidate* b) {
        return a->files != b->files ? a->files > b->files
                                    : a->context.supports[0].node < b->context.supports[0].node;
    });
    for (std::size_t i = 0; i < order.size() && i < max_contexts; ++i) {
        contexts.push_back(std::move(order[i]->context));
    }
    if (sample.size() < live.size()) {
        for (Context& context : contexts) {
            classify_all(pool, live, context);
        }
    }
}

const Split& PeerModel::Impl::split_of(NodeId node) const
{
    const auto [found, fresh] = splits_.try_emplace(node);
    if (fresh) {
        found->second = work_out_split(node);
    }
    return found->second;
}

Split PeerModel::Impl::work_out_split(NodeId id) const
{
    Population some;
    some.vms = few;
    Walk said(pool.node(id));
    for (const VmIndex vm : few) {
        some.codes.push_back(said.at(vm));
    }
    Split split;
    double best = 1;
    for (const Context& context : contexts) {
        const double gain = description_gain(some, context, static_cast<double>(contexts.size()));
        if (gain > best) {
            best = gain;
            split.context = &context;
        }
    }
    if (split.context == nullptr) {
        return split;
    }
    split.sizes.resize(split.context->classes);
    split.said_by.resize(split.context->classes);
    Walk codes(pool.node(id));
    for (const VmIndex vm : live) {
        const Code code = codes.at(vm);
        const std::uint8_t own = split.context->class_of[vm];
        if (own >= split.said_by.size()) {
            continue;
        }
        if (split.sizes[own]++ == 0) {
            split.said_by[own] = code;
        } else if (split.said_by[own] != code) {
            split.said_by[own].reset();
        }
    }
    return split;
}

PeerModel::PeerModel(const Pool& pool) : impl_(std::make_unique<Impl>(pool)) {}

PeerModel::~PeerModel() = default;

Ranking PeerModel::rank(const Sample& target, const RankOptions& options) const
{
    const Judge judge(*impl_, target, options);
    return options.method == Method::stemma ? rank_stemma(judge, options)
                                            : rank_flat(judge, options);
}

} // namespace stemma::analyzer
