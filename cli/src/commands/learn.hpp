#pragma once

#include "stemma/cli/args.hpp"
#include "stemma/cli/command.hpp"
#include "stemma/cli/context.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

/// The parts of `learn …`; their rows are in learn.cpp.
namespace stemma::cli {

/// The rows of all of them.
std::vector<Command> learn_rows();

int run_learn_cluster(Context& context, const Args& args);
int run_learn_outliers(Context& context, const Args& args);
int run_learn_check(Context& context, const Args& args);
int run_learn_label(Context& context, const Args& args);
int run_learn_labels(Context& context, const Args& args);
int run_learn_train(Context& context, const Args& args);
int run_learn_score(Context& context, const Args& args);

/// What somebody says of a VM; the last word on it counts. Kept beside the store and not in the
/// ledger: an opinion of whoever watches the VM, not an event of it.
///
/// File: one JSON object a line, {"at","label","note","snapshot","vm"}; each is one append, a torn
/// last line is left out.
struct Label {
    std::string at;
    std::string vm; ///< name
    std::string label;
    std::string note;
    std::string snapshot; ///< empty: none was there
};
std::map<std::string, Label> read_labels(const std::filesystem::path& file);
/// label  empty: takes the VM's label away
void add_label(const std::filesystem::path& file, const Label& label);
/// <state>/learn/labels.ndjson, or what --labels names.
std::filesystem::path labels_file(Context& context, const Args& args);

} // namespace stemma::cli
