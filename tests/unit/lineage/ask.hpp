#pragma once

#include "stemma/lineage/query.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

/// Questions for tests, short to write.
namespace stemma::lineage::test {

inline Nodes select(Query& query, const std::string& expression)
{
    const std::vector<std::string> words = {expression};
    return query.select(parse_selection(words, [](const std::string&) { return std::string(); }));
}

inline Nodes only(const std::set<Kind>& kinds, const Nodes& nodes)
{
    Nodes kept;
    std::copy_if(nodes.begin(), nodes.end(), std::inserter(kept, kept.end()), [&](Node node) {
        return kinds.count(node.kind) != 0;
    });
    return kept;
}

inline Nodes only(Kind kind, const Nodes& nodes)
{
    return only(std::set<Kind>{kind}, nodes);
}

} // namespace stemma::lineage::test
