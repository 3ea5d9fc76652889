#pragma once

#include "stemma/lineage/query.hpp"

#include <set>

#include "query_impl.hpp"

/// Walks that go from build to build by what leaves each (see store/reach.hpp), without visiting
/// the steps in between. They find what the walk over every link finds, at a cost that follows the
/// builds and not their steps.
namespace stemma::lineage {

/// See Query::downstream; for views of all that is known. Finds no artifacts: `wanted` names what
/// else is asked for.
Nodes far_downstream(Query::Impl& query, const Nodes& from, const std::set<Kind>& wanted);

/// See Query::upstream; for views of all that is known.
/// generated  what steps generated and is upstream counts as a source as well
Nodes far_upstream(Query::Impl& query,
                   const Nodes& of,
                   const std::set<Kind>& wanted,
                   bool generated);

} // namespace stemma::lineage
