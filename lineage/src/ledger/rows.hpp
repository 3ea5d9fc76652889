#pragma once

#include "stemma/core/digest.hpp"

#include <string>
#include <string_view>

#include "../store/impl.hpp"
#include "merkle.hpp"

/// The ledger's rows: events and commits, as they are written and read.
namespace stemma::lineage {

struct CommitRow {
    Commit commit; ///< no 0: there is none
    Digest chain;
};

inline constexpr std::string_view commit_columns =
    "SELECT no, first, last, recorded, root, chain FROM commits ";
/// Reads one row of commit_columns.
CommitRow commit_of(const sqlite::Statement& row);
CommitRow last_commit(sqlite::Database& db);
/// Ascending.
std::vector<CommitRow> commits_after(sqlite::Database& db, std::uint64_t no);
void insert_commit(sqlite::Database& db, const CommitRow& row);

/// Writes the event's row; derives nothing.
/// body  canonical
/// hash  of the event's leaf
void insert_event(Store::Impl& store, const Placed& placed, std::string body, const Digest& hash);
/// The same for an event of which only a tombstone is left.
void insert_tombstone(Store::Impl& store, const Placed& placed, const Digest& hash);
Digest hash_at(Store::Impl& store, std::uint64_t seq);

} // namespace stemma::lineage
