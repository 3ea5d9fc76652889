#include "learn.hpp"

namespace stemma::cli {

namespace {

constexpr Option trees_option = {
    "trees", "FOLDER", "instead of VMs: all folders and .tar files in there"};
constexpr Option definition_option = {
    "definition", "FILE", "what to extract of trees; see docs/analyzer.md"};
constexpr Option labels_option = {"labels", "FILE", "labels of this file, not the store's"};

Command cluster_row()
{
    return {.name = "learn cluster",
            .summary = "group VMs that are configured alike, with what sets each group apart",
            .synopsis = "VM… [--clusters N] | --trees FOLDER",
            .description = "Groups VMs by what they differ in (average linkage) and names the "
                           "settings that define each group. Without --clusters the number of "
                           "groups is the one in which VMs lie best (silhouette).",
            .options = {{"clusters", "N", "so many groups"}, trees_option, definition_option},
            .examples = {{"stemma learn cluster 'vm:*'", "What kinds of VMs are there?"},
                         {"stemma learn cluster --trees fleet/ --clusters 3 --json",
                          "Three groups of unpacked trees, with the whole tree of merges."}},
            .exits = "4 some VMs could not be read",
            .run = run_learn_cluster};
}

Command outliers_row()
{
    return {.name = "learn outliers",
            .summary = "rank VMs by how easily they are told from all others",
            .synopsis = "VM… [--limit N] | --trees FOLDER",
            .description = "An isolation forest over all settings: a VM that few questions single "
                           "out scores high. `stemma compare` then says what is odd about it.",
            .options = {{"limit", "N", "the first N"}, trees_option, definition_option},
            .examples = {{"stemma learn outliers release:shop --limit 5",
                          "Which VMs of the release are unlike the rest?"}},
            .exits = "4 some VMs could not be read",
            .run = run_learn_outliers};
}

Command check_row()
{
    return {.name = "learn check",
            .summary = "apply your own decision rules to VMs",
            .synopsis = "VM… --rules FILE | --trees FOLDER --rules FILE",
            .description = "Rules over features, in YAML (docs/learn.md): which settings together "
                           "make a VM what you call it.",
            .options = {{"rules", "FILE", "the rules"}, trees_option, definition_option},
            .examples = {{"stemma learn check 'vm:*' --rules policy.yaml",
                          "Which VMs break a rule, and by what?"}},
            .exits = "3 some rule applies; 4 some VMs could not be read",
            .run = run_learn_check};
}

Command label_row()
{
    return {
        .name = "learn label",
        .summary = "say what a VM is: sick, healthy, or any other word",
        .synopsis = "VM LABEL [--note TEXT] | VM --remove",
        .description = "Labels are what `learn train` learns from. The last one of a VM counts; "
                       "it is remembered with the VM's newest snapshot. With --labels FILE any "
                       "name may be labelled, so also file trees by their name (of a .tar: "
                       "without it).",
        .options = {{"note", "TEXT", "why"}, {"remove", "", "take the label away"}, labels_option},
        .examples = {{"stemma learn label vm:shop-3 sick --note 'times out'",
                      "Remember that shop-3 misbehaves."},
                     {"stemma learn label shop-3 sick --labels labels.ndjson",
                      "The same of the tree shop-3, for `learn train --trees FOLDER --labels "
                      "labels.ndjson`."}},
        .exits = {},
        .run = run_learn_label};
}

Command labels_row()
{
    return {.name = "learn labels",
            .summary = "list the labels of VMs",
            .synopsis = "",
            .description = "Lists which VM has which label, since when, and why.",
            .options = {labels_option},
            .examples = {{"stemma learn labels", "All labels."}},
            .exits = {},
            .run = run_learn_labels};
}

Command train_row()
{
    return {.name = "learn train",
            .summary = "train a classifier from labelled VMs, cross-validated",
            .synopsis = "VM… --out FILE [--folds N] | --trees FOLDER --labels FILE --out FILE",
            .description = "A random forest over all settings of the labelled VMs. What is printed "
                           "is how well such a model does on VMs that it has not seen. The file "
                           "holds the model, the features that it asks for, what it was trained "
                           "with and these figures.",
            .options = {{"out", "FILE", "where the model is written"},
                        {"folds", "N", "parts of the cross-validation (5)"},
                        labels_option,
                        trees_option,
                        definition_option},
            .examples = {{"stemma learn train 'vm:shop-*' --out shop.model",
                          "Learn from the VMs of the shop that have a label."}},
            .exits = "4 some VMs could not be read",
            .run = run_learn_train};
}

Command score_row()
{
    return {.name = "learn score",
            .summary = "say with a trained model what VMs are, and because of what",
            .synopsis = "VM… --model FILE | --trees FOLDER --model FILE",
            .description = "Each VM with its most probable label and the settings that speak for "
                           "it, by how much each adds to the probability.",
            .options = {{"model", "FILE", "made by learn train"}, trees_option, definition_option},
            .examples = {{"stemma learn score vm:shop-9 --model shop.model",
                          "Is shop-9 sick, as far as the model can tell?"}},
            .exits = "4 some VMs could not be read",
            .run = run_learn_score};
}

} // namespace

std::vector<Command> learn_rows()
{
    return {cluster_row(),
            outliers_row(),
            check_row(),
            label_row(),
            labels_row(),
            train_row(),
            score_row()};
}

} // namespace stemma::cli
