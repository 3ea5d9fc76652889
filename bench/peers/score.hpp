#pragma once

#include "stemma/analyzer/peers.hpp"
#include "stemma/core/json.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

/// Recall of known faults: what a ranking must name is in truth.json, as [{run, kind, accept:
/// [[path pattern, setting pattern]…]}…]; a finding is a hit when it or one of its members does.
/// Among findings of equal score it counts as in the middle of them: their order says nothing.
class Score {
public:
    explicit Score(const stemma::Json& truth) : truth_(truth) {}
    void add(const std::string& run, const stemma::analyzer::Ranking& ranking);
    /// One row per kind of fault, after that of all.
    [[nodiscard]] std::string report() const;
    /// The row of all faults: "found r@1 r@5 r@10 median".
    [[nodiscard]] std::string summary() const;

private:
    struct Tally {
        std::size_t runs = 0;
        std::size_t found = 0;
        std::size_t first = 0;
        std::size_t five = 0;
        std::size_t ten = 0;
        std::vector<double> ranks{}; ///< of those that were found
    };
    static std::string row_of(const Tally& tally);
    const stemma::Json& truth_;
    std::map<std::string, Tally> tallies_;
};
