#pragma once

#include "stemma/lineage/query.hpp"

#include <set>

#include "query_impl.hpp"

/// Walks that go from build to build by what leaves each (see store/reach.hpp), without visiting
/// the artifacts in between. They find what the walk over every link finds, artifacts apart, at a
/// cost that follows the builds and not their steps.
namespace stemma::lineage {

/// True when the answer holds no artifact, and all that is known counts.
bool far_walk_answers(const View& view, const std::set<Kind>& wanted);

/// See Query::downstream.
Nodes far_downstream(Query::Impl& query, const Nodes& from, const std::set<Kind>& wanted);

/// See Query::upstream.
/// generated  what steps generated and is upstream counts as a source as well
Nodes far_upstream(Query::Impl& query,
                   const Nodes& of,
                   const std::set<Kind>& wanted,
                   bool generated);

} // namespace stemma::lineage
