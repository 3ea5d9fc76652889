#pragma once

#include "stemma/sqlite/database.hpp"

#include <span>
#include <string>
#include <string_view>

/// The tables of the store.
namespace stemma::lineage {

inline constexpr int schema_version = 3;
/// PRAGMA application_id of every Stemma store: "Stem".
inline constexpr int application_id = 0x5374656d;

/// In table meta of every store whose pages have checksums.
inline constexpr std::string_view page_checksums_key = "page_checksums";

/// Followed by the position of each fact ledger.pruned, in table meta: the moment before which
/// facts were pruned, so that a question need not look for them.
inline constexpr std::string_view pruned_key = "pruned:";

/// Looks at the file's header alone: whatever a newer program did to its pages, it is newer first.
/// throws  unsupported: the store at `path` is newer than this program; corrupt: only the bytes of
///         its version are not what was written
void refuse_newer(const std::string& path);

/// Version of the schema in `database`; 0 when it is empty.
/// throws  unsupported: newer than this program; corrupt: a database of something else
int check_version(sqlite::Database& database);

/// Makes every table of schema_version in an empty database. Within the caller's transaction.
void make_schema(sqlite::Database& database);

/// Takes away or puts back the triggers that refuse changes of events and the deletion of words,
/// for pruning alone and within its transaction.
void set_pruning(sqlite::Database& database, bool allowed);

/// Adds to a ledger of version 1 or 2 what version 3 brought. Within the caller's transaction.
void make_words(sqlite::Database& database);

/// Names of the tables that are derived.
std::span<const char* const> derived_tables();

/// Drops and makes again every derived table, empty. Within the caller's transaction.
void reset_derived(sqlite::Database& database);

} // namespace stemma::lineage
