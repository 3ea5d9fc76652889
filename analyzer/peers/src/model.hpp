#pragma once

#include "stemma/analyzer/peers.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "volatility.hpp"

namespace stemma::analyzer {

inline constexpr std::uint8_t no_class = 255;

/// What VMs say of a node, asked in ascending order.
class Walk {
public:
    explicit Walk(const Pool::Node& node) : node_(node) {}
    Code at(VmIndex vm)
    {
        while (at_ < node_.exceptions.size() && node_.exceptions[at_].vm < vm) {
            ++at_;
        }
        const bool listed = at_ < node_.exceptions.size() && node_.exceptions[at_].vm == vm;
        return listed ? node_.exceptions[at_].code : node_.majority;
    }

private:
    const Pool::Node& node_;
    std::size_t at_ = 0;
};

/// A way in which the fleet falls into classes, said by at least two files alike: data centre,
/// role, release. It is known only through the settings that say it.
struct Context {
    std::vector<std::uint8_t> class_of; ///< by VM
    std::uint8_t classes = 0;
    struct Support {
        NodeId node;
        NodeId file;
        std::unordered_map<Code, std::uint8_t> class_of;
    };
    std::vector<Support> supports; ///< of different files; at most 8
};

/// How a node's answers fall into the classes of the context that tells most about them.
struct Split {
    const Context* context = nullptr;         ///< nullptr: none tells enough
    std::vector<std::optional<Code>> said_by; ///< by class; nullopt: its VMs do not agree
    std::vector<std::uint32_t> sizes;         ///< by class: its VMs
};

/// At most `most` of these, ascending: always the same ones, without a pattern. Every other VM
/// would show but one half of a fleet whose VMs alternate between two places.
std::vector<VmIndex> mixed_sample(std::vector<VmIndex> vms, std::size_t most);

/// What was asked about a node.
enum class Question {
    value,   ///< the target has it: is its value rare?
    absence, ///< the target lacks it: is that rare?
    novelty, ///< the target has it: is having it rare?
};

/// The VMs that can be compared in one question, with what they say.
struct Population {
    std::vector<VmIndex> vms;
    std::vector<Code> codes; ///< 0 and 1 for absence and novelty
};

/// What the classes of a context tell about the values, in nats, less the price of saying so.
double description_gain(const Population& population, const Context& context, double choices);

struct Evidence {
    std::size_t n = 0;    ///< comparable peers
    std::size_t k = 0;    ///< of them as rare as the target, or rarer
    std::size_t with = 0; ///< of them like the target
    Code expected = code_absent;
    std::size_t agreeing = 0; ///< peers that say `expected`
    Rarity rarity;
    std::vector<const Context*> contexts;
    Population population; ///< what remained after the contexts
};

struct PeerModel::Impl {
    explicit Impl(const Pool& source);

    const Pool& pool;
    std::vector<VmIndex> live;
    std::vector<NodeId> file_of;          ///< by node: its file, or record where there is none
    std::vector<Volatility> for_values;   ///< by family
    std::vector<Volatility> for_presence; ///< by family
    std::vector<Context> contexts;
    std::vector<VmIndex> sample; ///< VMs that contexts are learned from
    std::vector<VmIndex> few;    ///< VMs by which the best context of a node is chosen
    NodeId types = 0;            ///< the subtree of record types
    NodeId memory = 0;           ///< the node of the VMs' memory; 0: unknown

    void learn_files();
    void learn_volatility();
    void learn_contexts();
    /// Worked out at the first question about a node, then kept.
    const Split& split_of(NodeId node) const;

private:
    [[nodiscard]] Split work_out_split(NodeId id) const;
    mutable std::unordered_map<NodeId, Split> splits_;
};

/// Beside more peers than this a VM is compared with those that share most contexts with it, and
/// with some that are spread evenly over the rest.
inline constexpr std::size_t many_peers = 2'000;

/// Beside more peers than this the class of the target, if all of it agrees, settles a question.
inline constexpr std::size_t some_peers = 20;

/// One ranking: the model, the target and whom to leave out.
class Judge {
public:
    Judge(const PeerModel::Impl& model, const Sample& target, const RankOptions& options);

    [[nodiscard]] Evidence judge(NodeId id, Question question) const;
    /// True where, in a large fleet, all VMs of the target's class say the same of this node as the
    /// target, or most VMs do and no context tells more: then there is nothing to be judged.
    /// Constant time once the node is known.
    [[nodiscard]] bool agrees_with_its_class(NodeId node) const;
    /// Is the value that stands for this one among the records of its type rare?
    [[nodiscard]] Evidence judge_shape(NodeId element) const;

    [[nodiscard]] Code target_code(NodeId node) const
    {
        return node < codes_.size() ? codes_[node] : code_absent;
    }
    /// Peers in which the node is there.
    [[nodiscard]] std::size_t present(NodeId node) const;
    [[nodiscard]] std::size_t peers() const;
    [[nodiscard]] bool is_peer(VmIndex vm) const;
    [[nodiscard]] const PeerModel::Impl& model() const noexcept { return model_; }
    [[nodiscard]] const Sample& target() const noexcept { return target_; }

private:
    [[nodiscard]] Population population(NodeId id, Question question) const;
    /// What divides peers best by what they say of a node, and the target's side of it.
    struct Branch {
        const Context* context = nullptr; ///< null: nothing divides them well enough
        std::uint8_t own = 0;
    };
    [[nodiscard]] Branch best_branch(NodeId node, const Population& population) const;
    void narrow(NodeId node, Evidence& evidence) const;
    void choose_peers();
    [[nodiscard]] std::uint8_t class_of_target(const Context& context, NodeId file) const;
    void count(NodeId node, Question question, Evidence& evidence) const;
    /// Peers that have something of the node's sort beside it that at most `common` peers have.
    [[nodiscard]] std::size_t novel_tail(NodeId node, std::size_t common) const;
    [[nodiscard]] std::string_view sort_of(NodeId node) const;

    const PeerModel::Impl& model_;
    const Sample& target_;
    std::vector<VmIndex> excluded_;
    std::vector<VmIndex> compared_; ///< ascending
    std::vector<Code> codes_;
    mutable std::map<std::tuple<NodeId, std::size_t, std::string>, std::size_t> tails_;
};

/// What a number says beside its rarity: added to the score, with the words for it.
struct NumberVerdict {
    double adjust = 0;
    bool outside = false; ///< of a range that many different values span
    std::string words;
};
NumberVerdict judge_number(const Judge& judge, NodeId node, const Evidence& evidence);

/// True when a path or key has to do with the service that the operator named.
bool concerns_service(std::string_view service, std::string_view file, std::string_view setting);

/// The baselines over flat settings.
Ranking rank_flat(const Judge& judge, const RankOptions& options);
/// The default ranking.
Ranking rank_stemma(const Judge& judge, const RankOptions& options);

/// Where a node stands in the target, in its own words.
struct Place {
    std::string file;
    std::string setting;
    std::uint32_t line = 0;
    std::optional<std::string> value;
};
Place place_of(const Judge& judge, const Canonical& canonical, NodeId node);

} // namespace stemma::analyzer
