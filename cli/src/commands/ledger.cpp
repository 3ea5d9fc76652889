#include "stemma/lineage/ledger.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"

#include "groups.hpp"

namespace stemma::cli {

namespace {

constexpr int exit_violated = 5;

std::optional<lineage::Checkpoint> checkpoint_given(const Args& args)
{
    const auto file = args.value("checkpoint");
    if (!file) {
        return std::nullopt;
    }
    return doing(
        [&] {
            return lineage::checkpoint_from_json(parse_json(read_file(*file, 1U << 20U), *file));
        },
        "reading the checkpoint {}",
        *file);
}

int run_verify(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    const auto report = lineage::verify(context.store(lineage::Store::Mode::read),
                                        {.rebuild = args.has("rebuild"),
                                         .against = checkpoint_given(args),
                                         .progress = &context.progress(),
                                         .cancel = &context.cancel()});
    Answer answer;
    answer.schema = "stemma.ledger.verify/1";
    answer.seq = report.head.seq;
    answer.extra = {{"events", report.events},
                    {"commits", report.commits},
                    {"head", lineage::to_json(report.head)},
                    {"whole", report.findings.empty()},
                    {"origin_gaps", Json::array()}};
    for (const auto& gap : report.gaps) {
        answer.extra["origin_gaps"].push_back({{"what", gap.what}, {"reason", gap.reason}});
        context.log().warning("{}: {}", gap.what, gap.reason);
    }
    for (const auto& finding : report.findings) {
        answer.items.push_back({{"finding", json_text(finding)}});
    }
    if (context.format == Format::table && report.findings.empty()) {
        context.out(fmt::format("whole: {} events in {} commits, chain {}\n",
                                report.events,
                                report.commits,
                                report.head.chain.hex()));
        return 0;
    }
    show(context, answer, {{.title = "VIOLATED", .member = "finding"}});
    return report.findings.empty() ? 0 : exit_violated;
}

int run_checkpoint(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    const auto checkpoint = lineage::checkpoint_of(context.store(lineage::Store::Mode::read));
    const auto text = canonical_json(lineage::to_json(checkpoint)) + "\n";
    if (const auto file = args.value("out")) {
        write_file(*file, text);
    } else {
        context.out(text);
    }
    return 0;
}

int run_backup(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "FILE");
    auto& store = context.store(lineage::Store::Mode::read);
    lineage::backup(store, words[0]);
    context.log().info("{} holds the store up to event {}", words[0], store.last_seq());
    return 0;
}

int run_rebuild(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    auto& store = context.store(lineage::Store::Mode::write);
    const auto events = lineage::rebuild(store, &context.progress(), &context.cancel());
    context.log().info("derived everything again from {} events", events);
    return 0;
}

Command verify_row()
{
    return {.name = "ledger verify",
            .summary =
                "prove that no recorded fact was changed, lost or added behind the ledger's back",
            .synopsis = "[--rebuild] [--checkpoint FILE]",
            .description =
                "Checks the database's structure, every event against its hash, every commit "
                "against its "
                "Merkle root (RFC 6962), and the chain of commits. With a checkpoint that was kept "
                "elsewhere, a cut or rewritten end is found as well.",
            .options = {{.name = "rebuild",
                         .value = "",
                         .help = "also derive every table again, beside the store, and compare"},
                        {.name = "checkpoint",
                         .value = "FILE",
                         .help = "the ledger must still hold what it held then"}},
            .examples = {{"stemma ledger verify", "Prove the log."},
                         {"stemma ledger verify --rebuild --checkpoint /mnt/safe/monday.json",
                          "Prove everything, also against what was known on Monday."}},
            .exits = "0 whole; 5 violated, each finding named",
            .run = run_verify};
}

} // namespace

std::vector<Command> ledger_commands()
{
    return {
        verify_row(),
        {.name = "ledger checkpoint",
         .summary = "print where the ledger stands, to be kept elsewhere",
         .synopsis = "[--out FILE]",
         .description =
             "One line of JSON with the number, root and chain hash of the last commit. Whoever "
             "keeps it can show later that nothing up to there was changed.",
         .options = {{.name = "out", .value = "FILE", .help = "write it there", .letter = 'o'}},
         .examples = {{"stemma ledger checkpoint -o /mnt/safe/monday.json", "Keep Monday's."}},
         .exits = {},
         .run = run_checkpoint},
        {.name = "ledger backup",
         .summary = "copy the store, online, into a new file",
         .synopsis = "FILE",
         .description =
             "The copy is a whole store of one moment; who reads or writes meanwhile is not "
             "stopped. Put a copy in the store's place only when the store is lost: two stores of "
             "one identity that both go on would contradict each other, and be refused.",
         .options = {},
         .examples = {{"stemma ledger backup /mnt/safe/lineage-$(date +%F).db", "Today's copy."}},
         .exits = {},
         .run = run_backup},
        {.name = "ledger rebuild",
         .summary = "make every derived table again from the events",
         .synopsis = "",
         .description =
             "In one transaction: readers see the old tables until it is done, and keep them when "
             "it is interrupted.",
         .options = {},
         .examples = {{"stemma ledger rebuild",
                       "After `ledger verify --rebuild` found a damaged table."}},
         .exits = {},
         .run = run_rebuild}};
}

} // namespace stemma::cli
