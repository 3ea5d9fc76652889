#pragma once

#include "stemma/cli/command.hpp"

#include <vector>

/// The table of commands in its groups, one function per file of this folder.
namespace stemma::cli {

std::vector<Command> general_commands();  ///< init, doctor, completion, version
std::vector<Command> build_commands();    ///< build, pack, manifest …
std::vector<Command> lineage_commands();  ///< ingest, where, what, why, common, diff, outdated, log
std::vector<Command> ledger_commands();   ///< ledger …, run
std::vector<Command> serve_commands();    ///< serve
std::vector<Command> export_commands();   ///< export, verify-attestation, key …
std::vector<Command> image_commands();    ///< image …
std::vector<Command> host_commands();     ///< host …
std::vector<Command> release_commands();  ///< release …
std::vector<Command> vm_commands();       ///< vm …, watch
std::vector<Command> snapshot_commands(); ///< snapshot …, features
std::vector<Command> compare_commands();  ///< compare, learn …

} // namespace stemma::cli
