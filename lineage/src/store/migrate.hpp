#pragma once

#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"

#include "impl.hpp"

/// How a store of one version becomes one of the next, and how derived tables are made again.
namespace stemma::lineage {

/// Brings the store to schema_version in one transaction: killed midway, it reopens as it was
/// before or as it is after, never between. The ledger stays byte for byte; what is derived from it
/// is derived again. throws unsupported: newer than this program; corrupt: a database of something
/// else
void migrate(Store::Impl& store);

/// Makes every derived table again, within the caller's transaction.
/// progress, cancel  may be null
/// returns           how many events were read
std::uint64_t derive_all(Store::Impl& store, Progress* progress, const Cancel* cancel);

} // namespace stemma::lineage
