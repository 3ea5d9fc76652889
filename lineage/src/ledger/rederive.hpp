#pragma once

#include "stemma/lineage/ledger.hpp"

#include <string>
#include <vector>

/// Whether the derived tables are what the ledger says.
namespace stemma::lineage {

/// Copies the store of this moment, derives everything again in the copy, and compares; who writes
/// meanwhile changes nothing. The copy lies beside the store, or where temporary files do when
/// there is no room, and is removed.
/// returns  one finding for each table that differs
/// throws   io: there is room in neither place; interrupted
/// cost     twice the store's size for a while; reads all rows twice
std::vector<std::string> rederivation_findings(Store& store, const Verification& wanted);

} // namespace stemma::lineage
