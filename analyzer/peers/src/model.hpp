#pragma once

#include "stemma/analyzer/peers.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "volatility.hpp"

namespace stemma::analyzer {

inline constexpr std::uint8_t no_class = 255;

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
    NodeId types = 0;  ///< the subtree of record types
    NodeId memory = 0; ///< the node of the VMs' memory; 0: unknown

    void learn_files();
    void learn_volatility();
    void learn_contexts();
};

/// One ranking: the model, the target and whom to leave out.
class Judge {
public:
    Judge(const PeerModel::Impl& model, const Sample& target, const RankOptions& options);

    [[nodiscard]] Evidence judge(NodeId node, Question question) const;
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
    [[nodiscard]] Population population(NodeId node, Question question) const;
    void narrow(NodeId node, Evidence& evidence) const;
    [[nodiscard]] std::uint8_t class_of_target(const Context& context, NodeId file) const;
    void count(NodeId node, Question question, Evidence& evidence) const;
    /// Peers that have something below `parent` that at most `common` peers have.
    [[nodiscard]] std::size_t novel_tail(NodeId parent, std::size_t common) const;

    const PeerModel::Impl& model_;
    const Sample& target_;
    std::vector<VmIndex> excluded_;
    std::vector<Code> codes_;
    mutable std::unordered_map<std::uint64_t, std::size_t> tails_;
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
