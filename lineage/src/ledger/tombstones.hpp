#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/core/json.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "../store/impl.hpp"

/// Facts whose content was pruned: the row stays, with `encoding` 2 and no body. A fact
/// ledger.pruned, itself covered by the chain, names their positions and a digest of what the rows
/// still say:
///
///     {"before", "bytes", "events": [[first, last], …], "kinds": {kind: count},
///      "tombstones": sha256 of one line "seq at kind origin oseq hash" per row, in order}
namespace stemma::lineage {

inline constexpr std::string_view pruned_kind = "ledger.pruned";

/// [[first, last], …] of sorted positions.
Json ranges_of(const std::vector<std::uint64_t>& seqs);

/// The positions within ranges_of() of which the content is still there.
/// throws  corrupt: that is no list of ranges
std::vector<std::uint64_t> living_in(sqlite::Database& db, const Json& ranges);

/// Takes the bodies away, and the words that only they had. Nothing is derived again.
void bury(Store::Impl& store, const std::vector<std::uint64_t>& seqs);

/// Keeps where a fact ledger.pruned stands, and the moment before which facts went.
void note_pruning(sqlite::Database& db, std::uint64_t seq, std::string_view before);

/// Digest of what the rows of these ranges say besides their bodies.
Digest tombstone_digest(sqlite::Database& db, const Json& ranges);

/// Compares the tombstones with what was said when they were made.
/// returns  one finding for each contradiction
std::vector<std::string> tombstone_findings(Store::Impl& store);

} // namespace stemma::lineage
