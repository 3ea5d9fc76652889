#include "score.hpp"

#include <fmt/format.h>

#include <map>
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

std::size_t rank_of(const Ranking& ranking, const Json& accept)
{
    for (std::size_t i = 0; i < ranking.findings.size(); ++i) {
        for (const auto& member : ranking.findings[i].members) {
            if (is_hit(member, accept)) {
                return i + 1;
            }
        }
    }
    return 0;
}

} // namespace

void Score::add(const std::string& run, const Ranking& ranking)
{
    for (const Json& one : truth_) {
        if (string_member(one, "run") != run) {
            continue;
        }
        const std::size_t rank = rank_of(ranking, array_member(one, "accept"));
        for (const std::string& name : {std::string("all"), string_member(one, "kind")}) {
            Tally& tally = tallies_[name];
            ++tally.runs;
            tally.found += rank > 0 ? 1U : 0U;
            tally.first += rank == 1 ? 1U : 0U;
            tally.five += rank > 0 && rank <= 5 ? 1U : 0U;
            tally.ten += rank > 0 && rank <= 10 ? 1U : 0U;
        }
    }
}

std::string Score::report() const
{
    std::string text = "kind         runs  found  r@1   r@5   r@10\n";
    for (const auto& [name, tally] : tallies_) {
        const auto n = static_cast<double>(tally.runs);
        text += fmt::format("{:<12} {:>4}  {:.2f}   {:.2f}  {:.2f}  {:.2f}\n",
                            name,
                            tally.runs,
                            static_cast<double>(tally.found) / n,
                            static_cast<double>(tally.first) / n,
                            static_cast<double>(tally.five) / n,
                            static_cast<double>(tally.ten) / n);
    }
    return text;
}
