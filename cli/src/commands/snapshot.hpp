#pragma once

#include "stemma/analyzer/definition.hpp"
#include "stemma/analyzer/snapshots.hpp"
#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/lineage/store.hpp"

#include <filesystem>
#include <string>
#include <vector>

/// The parts of `snapshot …` and `features`; their rows are in snapshot.cpp.
namespace stemma::cli {

int run_snapshot_take(Context& context, const Args& args);
int run_snapshot_list(Context& context, const Args& args);
int run_snapshot_show(Context& context, const Args& args);
int run_snapshot_prune(Context& context, const Args& args);
int run_snapshot_export(Context& context, const Args& args);
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

/// The folder below the store in which snapshots are kept.
analyzer::SnapshotFolder snapshot_folder(Context& context);
/// For locks and sockets of captures: /run/stemma for root, else the user's run-time folder.
std::filesystem::path capture_folder();
/// --definition FILE, else the shipped one.
analyzer::Definition definition_of(const Args& args);

} // namespace stemma::cli
