#pragma once

#include "stemma/analyzer/pool.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

enum class Method {
    stemma,       ///< records, contexts and learned volatility; docs/compare.md
    peerpressure, ///< as published by Wang et al., OSDI 2004
    tfidf,        ///< rare values first
    diff,         ///< what differs from most peers, in order of name
};
std::string_view to_string(Method method) noexcept;
/// throws  usage: no such method
Method method_from(std::string_view word);

enum class Category {
    uniform,     ///< as with the peers
    of_interest, ///< departs from peers that agree
    noise,       ///< differs everywhere, or is meant to
};
std::string_view to_string(Category category) noexcept;

/// One setting (or several that belong together) in which the target stands apart.
struct Finding {
    std::string setting;    ///< key within the file: "http/client_max_body_size", "mode"
    std::string file;       ///< path in the target, or "package:", "unit:" for what no file says
    std::uint32_t line = 0; ///< 0: unknown, or the setting is missing
    std::optional<std::string> value;    ///< nullopt: the target lacks it
    std::optional<std::string> expected; ///< what most comparable peers have; nullopt: nothing
    Category category = Category::of_interest;
    double score = 0;           ///< higher is more suspicious; comparable within one ranking
    std::size_t peers_with = 0; ///< peers that agree with the target
    std::size_t peers = 0;      ///< peers that were comparable
    std::string reason;         ///< one sentence
    std::string since;          ///< what is known of when and by what it came; may be empty
    NodeId node = 0;            ///< where it stands in the pool
    struct Member {
        std::string file;
        std::string setting;
    };
    std::vector<Member> members; ///< all that this finding stands for, itself first
};

struct RankOptions {
    Method method = Method::stemma;
    std::string service;          ///< what the operator knows to be broken; may be empty
    std::vector<VmIndex> exclude; ///< VMs of the pool that are no peers (the target itself)
};

struct Ranking {
    std::vector<Finding> findings; ///< best first; then those that are noise
    std::size_t peers = 0;
    std::size_t settings = 0; ///< of the target
    std::size_t uniform = 0;
    std::size_t of_interest = 0;
    std::size_t noise = 0;
};

/// How a setting's values are spread over the peers; what `--explain` shows.
struct Distribution {
    std::string setting;
    std::string file;
    struct Row {
        std::string value; ///< canonical; empty with `absent`
        bool absent = false;
        std::size_t count = 0;
        std::vector<std::string> vms; ///< at most 5 names
        bool target = false;          ///< the target has this one
    };
    std::vector<Row> rows;             ///< most common first
    std::vector<std::string> contexts; ///< "setting = value": what narrowed the comparison down
    std::size_t peers = 0;
    std::size_t comparable = 0; ///< after the contexts
};

/// What is learned from a pool: how volatile each kind of setting is, and which settings go
/// together (contexts: data centre, role, release). Valid until the pool counts another VM; reading
/// further samples does no harm.
class PeerModel {
public:
    explicit PeerModel(const Pool& pool);
    ~PeerModel();
    PeerModel(const PeerModel&) = delete;
    PeerModel& operator=(const PeerModel&) = delete;

    /// Ranks what sets `target` apart. Everything is judged against the pool's VMs without those
    /// that are excluded.
    /// target  read by this pool, with details
    [[nodiscard]] Ranking rank(const Sample& target, const RankOptions& options) const;

    /// Distributions of the settings whose "FILE:KEY", key or last part of it is `setting`.
    [[nodiscard]] std::vector<Distribution>
    explain(const Sample& target, std::string_view setting, const RankOptions& options) const;

    struct Impl;

private:
    std::unique_ptr<Impl> impl_;
};

/// P(sick | value) as published: N peers, c distinct values (absent counts as one), m peers with
/// the target's value, t suspects.
double peer_pressure(double peers, double values, double matches, double suspects);

} // namespace stemma::analyzer
