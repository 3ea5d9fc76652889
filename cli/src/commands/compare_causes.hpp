#pragma once

#include "stemma/analyzer/peers.hpp"
#include "stemma/analyzer/report.hpp"
#include "stemma/core/json.hpp"

#include <vector>

#include "compare_set.hpp"

namespace stemma::cli {

/// What the lineage knows of how findings came to be: for each the event that brought it, from
/// strong to weak evidence
///
///   told     an image.created says that it put this file or package there
///   between  it was otherwise in the VM's snapshot before: the last event of the VM between the
///            two that changes a VM (vm.changed, vm.deployed, action.run, vm.migrated), else the
///            snapshot that saw it first
///   always   it is so since the VM's first snapshot: the vm.deployed before that
///
/// Sets `since` of the findings to the words for it.
/// returns  beside the findings: {"seq","kind","at","detail","basis","seen","before"} or null
std::vector<Json>
trace_findings(Context& context, ComparedSet& set, std::vector<analyzer::Finding>& findings);

/// The target's snapshots and events, for a timeline; empty where there is no store.
std::vector<analyzer::Mark> past_of(Context& context, const ComparedSet& set);

} // namespace stemma::cli
