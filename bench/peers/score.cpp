#include "score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <regex>

namespace {

using namespace stemma;
using namespace stemma::analyzer;

/// The path's beginning must match the one pattern, the rest with ":setting" the other as a whole.
bool is_hit(const Finding::Member& member, const Json& accept)
{
    const auto flags = std::regex::ECMAScript | std::regex::icase;
    const std::string path = member.file.starts_with('/') ? member.file.substr(1) : member.file;
    for (const Json& one : accept) {
        const std::regex where(one.at(0).get<std::string>() + "(/|$)");
        std::smatch match;
        if (!std::regex_search(path, match, where, std::regex_constants::match_continuous)) {
            continue;
        }
        std::string begin = match.str();
        while (begin.ends_with('/')) {
            begin.pop_back();
        }
        const std::string rest = path.substr(begin.size()) + ":" + member.setting;
        if (std::regex_match(rest, std::regex(one.at(1).get<std::string>(), flags))) {
            return true;
        }
    }
    return false;
}

bool names(const Finding& finding, const Json& accept)
{
    return std::any_of(finding.members.begin(), finding.members.end(), [&](const auto& member) {
        return is_hit(member, accept);
    });
}

/// 0: not among them.
double rank_of(const Ranking& ranking, const Json& accept)
{
    const auto& all = ranking.findings;
    const auto hit = std::find_if(
        all.begin(), all.end(), [&](const Finding& finding) { return names(finding, accept); });
    if (hit == all.end()) {
        return 0;
    }
    const auto alike = [&](const Finding& other) { return other.score == hit->score; };
    const auto first = std::find_if(all.begin(), hit, alike);
    const auto last = std::find_if_not(hit, all.end(), alike);
    return static_cast<double>((first - all.begin()) + (last - all.begin()) + 1) / 2;
}

} // namespace

void Score::add(const std::string& run, const Ranking& ranking)
{
    for (const Json& one : truth_) {
        if (string_member(one, "run") != run) {
            continue;
        }
        const double rank = rank_of(ranking, array_member(one, "accept"));
        for (const std::string& name : {std::string("all"), string_member(one, "kind")}) {
            Tally& tally = tallies_[name];
            ++tally.runs;
            if (rank > 0) {
                ++tally.found;
                tally.first += rank <= 1 ? 1U : 0U;
                tally.five += rank <= 5 ? 1U : 0U;
                tally.ten += rank <= 10 ? 1U : 0U;
                tally.ranks.push_back(rank);
            }
        }
    }
}

std::string Score::row_of(const Tally& tally)
{
    const auto n = static_cast<double>(tally.runs);
    const auto share = [&](std::size_t count) { return static_cast<double>(count) / n; };
    auto ranks = tally.ranks;
    ranks.resize(tally.runs, std::numeric_limits<double>::infinity());
    std::sort(ranks.begin(), ranks.end());
    return fmt::format("{:>4.2f}  {:.2f}  {:.2f}  {:.2f}  {:>6.1f}",
                       share(tally.found),
                       share(tally.first),
                       share(tally.five),
                       share(tally.ten),
                       ranks[ranks.size() / 2]);
}

std::string Score::summary() const
{
    return row_of(tallies_.at("all"));
}

std::string Score::report() const
{
    std::string text = "kind         runs  found  r@1   r@5   r@10  median\n";
    for (const auto& [name, tally] : tallies_) {
        text += fmt::format("{:<12} {:>4}   {}\n", name, tally.runs, row_of(tally));
    }
    return text;
}
