#pragma once

#include "stemma/analyzer/definition.hpp"
#include "stemma/analyzer/retention.hpp"
#include "stemma/analyzer/snapshots.hpp"
#include "stemma/analyzer/take.hpp"
#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/lineage/store.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// The parts of `snapshot …` and `features`; their rows are in snapshot.cpp.
namespace stemma::cli {

int run_snapshot_take(Context& context, const Args& args);
int run_snapshot_list(Context& context, const Args& args);
int run_snapshot_show(Context& context, const Args& args);
int run_snapshot_prune(Context& context, const Args& args);
int run_snapshot_export(Context& context, const Args& args);
int run_snapshot_verify(Context& context, const Args& args);
int run_snapshot_restore(Context& context, const Args& args);
int run_snapshot_schedule(Context& context, const Args& args);
int run_features(Context& context, const Args& args);

/// VMs of the store that the words name: NAME, vm:NAME or vm:UUID (also patterns), release:NAME,
/// host:GLOB, image:NAME, @FILE with one of these per line, "-" for standard input. In order of
/// name, each once.
/// throws  not_found: a word that names none, with the nearest name
std::vector<lineage::VmInfo> vms_named(Context& context, const std::vector<std::string>& words);

/// "snapshot:ID" or a whole id, or the unique beginning of one; else the newest snapshot of the VM
/// with that name.
/// throws  not_found, usage: several begin so
lineage::SnapshotInfo snapshot_named(Context& context, const std::string& word);

/// All snapshots of the VMs that the words name; of all VMs when there are none.
std::vector<lineage::SnapshotInfo> snapshots_named(Context& context,
                                                   const std::vector<std::string>& words);

/// A snapshot as `snapshot list` and others show it.
Json snapshot_item(const lineage::SnapshotInfo& snapshot, const analyzer::SnapshotFolder& folder);

/// What the options of `snapshot take` say.
/// throws  usage
analyzer::TakeOptions take_options(Context& context, const Args& args);
analyzer::Taker make_taker(Context& context, analyzer::Definition definition);
/// One snapshot; what it could not see is told.
/// uri     of the libvirt that has the VM; else its host's
analyzer::Taken take_snapshot(Context& context,
                              analyzer::Taker& taker,
                              const lineage::VmInfo& vm,
                              const std::optional<std::string>& uri,
                              const analyzer::TakeOptions& options);

/// True when it is the turn of some schedule's VM.
bool any_snapshot_due(Context& context);

/// Removes those of `among` that nothing keeps, with what only they had in the pool, and debris.
/// only_say  change nothing
/// answer    gets an item for each that goes; with only_say also for each that stays
void prune_snapshots(Context& context,
                     const analyzer::Retention& retention,
                     const std::vector<lineage::SnapshotInfo>& among,
                     bool only_say,
                     Answer& answer);

/// The folder below the store in which snapshots are kept.
analyzer::SnapshotFolder snapshot_folder(Context& context);
/// For locks and sockets of captures: /run/stemma for root, else the user's run-time folder.
std::filesystem::path capture_folder();
/// --definition FILE, else the shipped one.
analyzer::Definition definition_of(const Args& args);

} // namespace stemma::cli
