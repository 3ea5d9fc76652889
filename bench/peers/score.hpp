#pragma once

#include "stemma/analyzer/peers.hpp"
#include "stemma/core/json.hpp"

#include <cstddef>
#include <map>
#include <string>

/// Recall of known faults: what a ranking must name is in truth.json, as [{run, kind, accept:
/// [[path pattern, setting pattern]…]}…]; a finding is a hit when it or one of its members does.
class Score {
public:
    explicit Score(const stemma::Json& truth) : truth_(truth) {}
    void add(const std::string& run, const stemma::analyzer::Ranking& ranking);
    [[nodiscard]] std::string report() const;

private:
    struct Tally {
        std::size_t runs = 0;
        std::size_t found = 0;
        std::size_t first = 0;
        std::size_t five = 0;
        std::size_t ten = 0;
    };
    const stemma::Json& truth_;
    std::map<std::string, Tally> tallies_;
};
