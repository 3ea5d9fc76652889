#pragma once

#include <map>
#include <string>
#include <vector>

#include "model.hpp"

namespace stemma::analyzer {

inline constexpr double interesting = 3.0;    ///< −ln 5%: what one healthy VM in twenty may show
inline constexpr double least = 0.1;          ///< below it nothing is said at all
inline constexpr double remarkable = 1.0;     ///< beside one or two others: they cannot say more
inline constexpr std::size_t few_records = 8; ///< with fewer, the record's type knows more

/// One question to which the target's answer is remarkable.
struct Item {
    NodeId node = 0;
    Question question = Question::value;
    NodeId shape = 0; ///< judged among the records of its type
    Evidence evidence;
    double score = 0;
    std::string note;
    std::string cause; ///< items with the same cause are one finding
};

/// Walks over the target and over what it lacks.
/// Finds in survey.cpp, explains in findings.cpp.
class Survey {
public:
    Survey(const Judge& judge, const RankOptions& options)
        : judge_(judge),
          options_(options),
          pool_(judge.model().pool),
          canonical_(judge.target().names, pool_.rules()),
          strange_(pool_.nodes(), false)
    {
    }

    Ranking run();

private:
    void look_at(const Observation& observation);
    void look_for_missing(NodeId parent);
    bool judge_novelty(const Observation& observation);
    void judge_value(const Observation& observation);
    void judge_type(const Observation& observation);
    void judge_reference(const Observation& observation);
    [[nodiscard]] bool is_only_measured(NodeId node) const;
    [[nodiscard]] const Observation* seen(NodeId node) const;
    [[nodiscard]] NodeId child_named(NodeId parent, std::string_view name) const;
    [[nodiscard]] std::string upgraded_package(NodeId node) const;
    [[nodiscard]] bool is_upgraded(const std::string& package) const;
    void keep(Item item);
    [[nodiscard]] double prior(const Item& item) const;
    [[nodiscard]] std::string cause_of(const Item& item) const;
    [[nodiscard]] Finding finding_of(const Item& item) const;
    [[nodiscard]] double enough() const;
    void say_what_is_in(NodeId node, Finding& finding) const;
    [[nodiscard]] std::string reason_of(const Item& item) const;
    [[nodiscard]] std::string expected_text(const Item& item) const;
    void share_blame();
    void collect(Ranking& ranking);

    const Judge& judge_;
    const RankOptions& options_;
    const Pool& pool_;
    Canonical canonical_;
    std::vector<bool> strange_; ///< nodes that hardly a peer has: what is below has no counterpart
    std::vector<Item> items_;
    mutable std::map<std::string, bool, std::less<>> upgraded_; ///< packages that were asked for
    std::size_t settings_ = 0;
    std::size_t uniform_ = 0;
    std::size_t operational_ = 0;
};

} // namespace stemma::analyzer
