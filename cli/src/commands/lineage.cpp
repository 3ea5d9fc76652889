#include "groups.hpp"
#include "question.hpp"

namespace stemma::cli {

namespace {

constexpr std::string_view question_exits =
    "0 answered, also when nothing was found (1 with --fail-empty); 4 answered, and known to be "
    "incomplete: the gaps are named";

Command where_row()
{
    return {.name = "where",
            .summary =
                "what comes of this: artifacts, packages, images, VMs and hosts that it is in",
            .synopsis = "SEL… [--to KINDS]",
            .description = selector_help,
            .options = question_options(),
            .examples = {{"stemma where file:src/price.cpp --to hosts",
                          "Hosts that run a VM with software built from this file."},
                         {"stemma where 'file:src/price.cpp@1f2e3d' --as-of 2026-02-03T04:05:06Z",
                          "Where that commit's version of the file was at that moment."},
                         {"stemma where package:openssl'<3.0.11' --to vms -0 | xargs -0 -n1 echo",
                          "The VMs with an old package, one name at a time."}},
            .exits = question_exits,
            .run = run_where};
}

Command what_row()
{
    return {
        .name = "what",
        .summary = "what is in this: sources, artifacts, packages and images that it is made of",
        .synopsis = "SEL… [--to KINDS]",
        .description = selector_help,
        .options = question_options(),
        .examples = {{"stemma what host:web7", "Everything that contributed to what runs there."},
                     {"stemma what vm:shop-2 --to sources --state dirty,untracked",
                      "Files in this VM's software that no commit holds."},
                     {"stemma what event:host.state=down@1d --to sources --since 3d",
                      "Sources changed in three days on hosts that went down within the last."}},
        .exits = question_exits,
        .run = run_what};
}

Command why_row()
{
    return {
        .name = "why",
        .summary = "the chain of evidence from one thing to another, each link with its event",
        .synopsis = "A B [--all]",
        .description = selector_help,
        .options = question_options({{.name = "all",
                                      .value = "",
                                      .help = "every link on any way, not the shortest alone"}}),
        .examples =
            {{"stemma why file:src/price.cpp vm:shop-2", "How this file came to be in that VM."},
             {"stemma why file:src/price.cpp vm:shop-2 --all --format dot | dot -Tsvg >why.svg",
              "The same as a drawing, every way."}},
        .exits = question_exits,
        .run = run_why};
}

Command log_row()
{
    return {
        .name = "log",
        .summary = "what happened to this, in the order of time",
        .synopsis = "[SEL…]",
        .description = selector_help,
        .options = question_options(),
        .examples = {{"stemma log vm:shop-2",
                      "Deployed, migrated, re-imaged, retired: its history."},
                     {"stemma log host:web7 --since 1d", "What happened there since yesterday."},
                     {"stemma log --format ndjson", "Every event, one a line."}},
        .exits = question_exits,
        .run = run_log};
}

Command outdated_row()
{
    return {.name = "outdated",
            .summary = "VMs and images that hold something older than the head of its channel",
            .synopsis = "[PACKAGE]",
            .description =
                "The head of a channel is what `stemma channel set` said last. What is the head of "
                "any channel is not out of date, unless --channel asks for one of them. "
                "Where none was set for a name, the head is the package packed last under the same "
                "name and architecture from the same branch; for images, the newest of the name. "
                "The largest version number is never asked.",
            .options = question_options(
                {{.name = "channel", .value = "NAME", .help = "only this channel"}}),
            .examples = {{"stemma outdated", "Everything that is behind."},
                         {"stemma outdated shop --to vms", "VMs with an old shop."}},
            .exits = question_exits,
            .run = run_outdated};
}

Command channel_set_row()
{
    return {.name = "channel set",
            .summary = "says which version of a package or an image is the head of a channel",
            .synopsis = "CHANNEL SEL",
            .description =
                "Records, as a fact with a time, that the package or image SEL is what everything "
                "of its name should be at, in CHANNEL (stable, testing, a customer's name, …). "
                "`stemma outdated` then tells which VMs and images are not. An older version may "
                "become the head: the newest number is never asked. A package may also be one of "
                "the distribution, which an image's package database lists.",
            .options = {},
            .examples = {{"stemma channel set stable package:shop=1.1", "What to be at."},
                         {"stemma channel set security package:openssl=3.0.16-1~deb12u1",
                          "The fixed version of a distribution's package."},
                         {"stemma channel set stable image:web", "An image, as its name is now."}},
            .exits = {},
            .run = run_channel_set};
}

Command channel_list_row()
{
    return {.name = "channel list",
            .summary = "the heads of channels",
            .synopsis = "[CHANNEL]",
            .description = "CHANNEL may be a pattern.",
            .options = question_options(),
            .examples = {{"stemma channel list --as-of 3d", "What they were three days ago."}},
            .exits = question_exits,
            .run = run_channel_list};
}

Command common_row()
{
    return {.name = "common",
            .summary = "what all of a set have in common",
            .synopsis = "SEL…",
            .description = selector_help,
            .options = question_options(),
            .examples = {{"stemma common vm:shop-1 vm:shop-3 --to packages,images,hosts",
                          "What two failing VMs share."},
                         {"stemma common event:vm.state=crashed@1d --to sources",
                          "Sources that are in every VM that crashed today."}},
            .exits = question_exits,
            .run = run_common};
}

Command diff_row()
{
    return {.name = "diff",
            .summary = "what sets two things, or two sets, apart",
            .synopsis = "A B",
            .description = selector_help,
            .options = question_options(),
            .examples = {{"stemma diff vm:shop-1 vm:shop-2 --to packages,sources",
                          "Why one behaves differently."},
                         {"stemma diff image:base image:shop",
                          "What an image has that its parent has not."}},
            .exits = "0 no difference; 3 differences found; 4 known to be incomplete",
            .run = run_diff};
}

Command ingest_row()
{
    return {
        .name = "ingest",
        .summary = "take in manifests, events, attestations and SBOMs that were made elsewhere",
        .synopsis = "FILE…|-",
        .description =
            "Takes manifests (stemma.manifest/1), build journals, events (stemma.event/1, one a "
            "line), and other "
            "tools' documents: in-toto statements with SLSA provenance (also in DSSE envelopes, "
            "whose signatures `stemma verify-attestation` checks), SPDX 2.3 and CycloneDX JSON. "
            "What is known already changes nothing, so the same file may be taken any number of "
            "times. An "
            "origin that says two different things under one number is refused.",
        .options = {},
        .examples = {{"stemma ingest build/manifest.json", "Record a build."},
                     {"stemma ingest - <events.ndjson", "Take events, one a line."}},
        .exits = "0 all taken; 1 none; 4 some files could not be taken",
        .run = run_ingest};
}

} // namespace

std::vector<Command> lineage_commands()
{
    return {where_row(),
            what_row(),
            why_row(),
            log_row(),
            outdated_row(),
            channel_set_row(),
            channel_list_row(),
            common_row(),
            diff_row(),
            run_row(),
            ingest_row(),
            push_row()};
}

} // namespace stemma::cli
