#include "stemma/core/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model.hpp"

namespace stemma::analyzer {

namespace {

/// One entry of a flat list of settings, as the baselines see it.
struct Entry {
    NodeId node = 0;
    std::size_t matches = 0;
    std::size_t distinct = 0; ///< values among the peers, absent counted as one
    std::size_t absent = 0;
    Code common = code_absent;
    std::size_t common_count = 0;
};

bool is_entry(const Pool& pool, NodeId types, NodeId id)
{
    const Pool::Node& node = pool.node(id);
    const bool leaf = node.role == NodeRole::setting || node.role == NodeRole::element ||
                      node.role == NodeRole::attribute;
    return leaf && pool.node(node.parent).parent != types && !node.operational;
}

Entry entry_of(const Judge& judge, NodeId id)
{
    const Pool& pool = judge.model().pool;
    std::unordered_map<Code, std::size_t> counts;
    std::size_t n = 0;
    Walk codes(pool.node(id));
    for (const VmIndex vm : judge.model().live) {
        const Code code = codes.at(vm);
        if (judge.is_peer(vm)) {
            ++counts[code];
            ++n;
        }
    }
    Entry entry;
    entry.node = id;
    entry.distinct = counts.size();
    const auto own = counts.find(judge.target_code(id));
    entry.matches = own == counts.end() ? 0 : own->second;
    for (const auto& [code, count] : counts) {
        if (count > entry.common_count || (count == entry.common_count && code < entry.common)) {
            entry.common = code;
            entry.common_count = count;
        }
    }
    return entry;
}

double score_of(const Entry& entry, Method method, double peers, double suspects)
{
    switch (method) {
    case Method::peerpressure:
        return peer_pressure(peers,
                             static_cast<double>(entry.distinct),
                             static_cast<double>(entry.matches),
                             suspects);
    case Method::tfidf:
        return std::log((peers + 1) / (1 + static_cast<double>(entry.matches)));
    case Method::diff:
    case Method::stemma:
        break;
    }
    return 1;
}

std::string words_of(const Entry& entry, std::size_t peers, Method method, double score)
{
    if (method == Method::peerpressure) {
        return fmt::format("P(sick) {:.3g}: {} of {} peers agree, {} distinct values",
                           score,
                           entry.matches,
                           peers,
                           entry.distinct);
    }
    return fmt::format("{} of {} peers agree", entry.matches, peers);
}

} // namespace

double peer_pressure(double peers, double values, double matches, double suspects)
{
    return (peers + values) / (peers + values * suspects + values * matches * (suspects - 1));
}

Ranking rank_flat(const Judge& judge, const RankOptions& options)
{
    const Pool& pool = judge.model().pool;
    const Canonical canonical(judge.target().names, pool.rules());
    Ranking ranking;
    ranking.peers = judge.peers();
    const auto n = static_cast<double>(ranking.peers);
    std::vector<Entry> entries;
    double suspects = 0;
    for (NodeId id = 1; id < pool.nodes() && ranking.peers > 0; ++id) {
        if (!is_entry(pool, judge.model().types, id)) {
            continue;
        }
        const Code own = judge.target_code(id);
        ranking.settings += own != code_absent ? 1U : 0U;
        if (!options.service.empty()) {
            const auto [file, key] = pool.describe(id);
            if (!concerns_service(options.service, file, key)) {
                continue;
            }
        }
        Entry entry = entry_of(judge, id);
        suspects += own != code_absent || entry.matches < ranking.peers ? 1 : 0;
        if (entry.common == own || entry.matches == ranking.peers) {
            ++ranking.uniform;
            continue;
        }
        entries.push_back(entry);
    }
    for (const Entry& entry : entries) {
        const Place place = place_of(judge, canonical, entry.node);
        Finding finding;
        finding.file = place.file;
        finding.setting = place.setting;
        finding.line = place.line;
        finding.value = place.value;
        if (entry.common != code_absent) {
            finding.expected = canonical.expand(pool.value_text(entry.node, entry.common));
        }
        finding.score = score_of(entry, options.method, n, std::max(suspects, 2.0));
        finding.peers = ranking.peers;
        finding.peers_with = entry.matches;
        finding.reason = words_of(entry, ranking.peers, options.method, finding.score);
        finding.members.push_back({finding.file, finding.setting});
        ranking.findings.push_back(std::move(finding));
    }
    std::stable_sort(
        ranking.findings.begin(), ranking.findings.end(), [](const Finding& a, const Finding& b) {
            if (a.score != b.score) {
                return a.score > b.score;
            }
            return std::tie(a.file, a.setting) < std::tie(b.file, b.setting);
        });
    ranking.of_interest = ranking.findings.size();
    return ranking;
}

std::string_view to_string(Method method) noexcept
{
    switch (method) {
    case Method::stemma:
        return "stemma";
    case Method::peerpressure:
        return "peerpressure";
    case Method::tfidf:
        return "tfidf";
    case Method::diff:
        break;
    }
    return "diff";
}

Method method_from(std::string_view word)
{
    for (const Method method :
         {Method::stemma, Method::peerpressure, Method::tfidf, Method::diff}) {
        if (to_string(method) == word) {
            return method;
        }
    }
    throw Error(ErrorCode::usage,
                fmt::format("no such method: {}", word),
                "methods are stemma, peerpressure, tfidf and diff");
}

std::string_view to_string(Category category) noexcept
{
    switch (category) {
    case Category::uniform:
        return "uniform";
    case Category::of_interest:
        return "of interest";
    case Category::noise:
        break;
    }
    return "noise";
}

} // namespace stemma::analyzer
