#include "stemma/lineage/ledger.hpp"

#include "stemma/cli/command.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/export/dsse.hpp"

#include <algorithm>

#include "attest.hpp"
#include "groups.hpp"

namespace stemma::cli {

namespace {

/// A checkpoint that was kept elsewhere, and what speaks against it.
struct Kept {
    std::optional<lineage::Checkpoint> checkpoint;
    std::vector<std::string> findings;
};

/// The text of a checkpoint in an envelope; its signature is looked at before it is parsed.
std::string opened(Context& context,
                   const exporting::Envelope& envelope,
                   std::span<const sodium::PublicKey> keys,
                   Kept& kept)
{
    if (envelope.payload_type != exporting::checkpoint_payload_type) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("the envelope holds '{}', not a checkpoint",
                                printable(envelope.payload_type)));
    }
    const bool trusted = std::any_of(keys.begin(), keys.end(), [&](const auto& key) {
        return exporting::is_signed_by(envelope, key);
    });
    if (keys.empty()) {
        context.log().warning("the checkpoint is signed, and nobody looked by whom: --key PUBKEY");
    } else if (!trusted) {
        kept.findings.emplace_back("the checkpoint is not signed by a given key");
    }
    return envelope.payload;
}

Kept checkpoint_given(Context& context, const Args& args)
{
    constexpr std::uint64_t largest = 1U << 20U;
    const auto keys = public_keys_option(args, "key");
    const auto file = args.value("checkpoint");
    if (!file) {
        if (!keys.empty()) {
            throw Error(ErrorCode::usage, "--key checks the signature of a --checkpoint FILE");
        }
        return {};
    }
    Kept kept;
    doing(
        [&] {
            auto json = parse_json(read_file(*file, largest), *file);
            if (exporting::looks_like_envelope(json)) {
                const auto text = opened(context, exporting::envelope_from_json(json), keys, kept);
                if (!kept.findings.empty()) {
                    return; // nothing that nobody vouches for is compared
                }
                json = parse_json(text, *file);
            } else if (!keys.empty()) {
                kept.findings.emplace_back("the checkpoint is not signed");
                return;
            }
            kept.checkpoint = lineage::checkpoint_from_json(json);
        },
        "reading the checkpoint {}",
        *file);
    return kept;
}

/// A ledger on a server whose past is not the one that this machine knows is not even opened.
lineage::VerifyReport verified(Context& context, const lineage::Verification& wanted)
{
    try {
        return lineage::verify(context.store(lineage::Store::Mode::read), wanted);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt) {
            throw;
        }
        context.log().info("hint: {}", error.hint());
        lineage::VerifyReport report;
        report.findings.push_back(error.one_line());
        return report;
    }
}

int run_verify(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    const auto kept = checkpoint_given(context, args);
    auto report = verified(context,
                           {.rebuild = args.has("rebuild"),
                            .against = kept.checkpoint,
                            .progress = &context.progress(),
                            .cancel = &context.cancel()});
    report.findings.insert(report.findings.begin(), kept.findings.begin(), kept.findings.end());
    Answer answer;
    answer.schema = "stemma.ledger.verify/1";
    answer.seq = report.head.seq;
    answer.extra = {{"events", report.events},
                    {"commits", report.commits},
                    {"pruned", report.pruned},
                    {"head", lineage::to_json(report.head)},
                    {"whole", report.findings.empty()},
                    {"unchecked_pages", report.unchecked_pages},
                    {"origin_gaps", Json::array()}};
    for (const auto& gap : report.gaps) {
        answer.extra["origin_gaps"].push_back({{"what", gap.what}, {"reason", gap.reason}});
        context.log().warning("{}: {}", gap.what, gap.reason);
    }
    if (report.unchecked_pages > 0) {
        context.log().warning("pages of the file without a checksum: {}; another program copied "
                              "them out of the log, and `stemma ledger compact` writes them anew",
                              report.unchecked_pages);
    }
    for (const auto& finding : report.findings) {
        answer.items.push_back({{"finding", json_text(finding)}});
    }
    if (context.format == Format::table && report.findings.empty()) {
        context.out(
            fmt::format("whole: {} events in {} commits{}, chain {}\n",
                        report.events,
                        report.commits,
                        report.pruned == 0 ? "" : fmt::format(" ({} pruned)", report.pruned),
                        report.head.chain.hex()));
        return context.store_gap() ? exit_incomplete : 0;
    }
    const int status = show(context, answer, {{.title = "VIOLATED", .member = "finding"}});
    return report.findings.empty() ? status : exit_violated;
}

int run_checkpoint(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    const auto key = secret_key_option(context, args, "sign");
    const auto checkpoint = lineage::checkpoint_of(context.store(lineage::Store::Mode::read));
    auto text = canonical_json(lineage::to_json(checkpoint));
    if (key) {
        text = canonical_json(exporting::to_json(
            exporting::sign_envelope(std::move(text), *key, exporting::checkpoint_payload_type)));
    }
    text += "\n";
    if (const auto file = args.value("out")) {
        write_file(*file, text);
    } else {
        context.out(text);
    }
    return 0;
}

int run_prune(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    const auto before = args.value("before");
    if (!before) {
        throw Error(ErrorCode::usage,
                    "how old? --before TIME is missing",
                    "for instance: stemma ledger prune --before 365d");
    }
    const lineage::Retention retention{.before = parse_time_or_age(*before, context.clock().now()),
                                       .really = args.has("yes"),
                                       .progress = &context.progress(),
                                       .cancel = &context.cancel()};
    auto& store = context.store(lineage::Store::Mode::write);
    const auto pruned = lineage::prune(store, retention);
    Answer answer;
    answer.schema = "stemma.ledger.prune/1";
    answer.seq = store.last_seq();
    std::uint64_t events = 0;
    for (const auto& [kind, count] : pruned.events) {
        answer.items.push_back({{"kind", kind}, {"events", count}});
        events += count;
    }
    answer.extra = {{"before", format_time(retention.before)},
                    {"bytes", pruned.bytes},
                    {"dry_run", !retention.really},
                    {"events", events}};
    const int status =
        show(context,
             answer,
             {{.title = "KIND", .member = "kind"},
              {.title = "EVENTS", .member = "events", .align = Column::Align::right}});
    context.log().info("{} {} events, {} of content{}",
                       retention.really ? "pruned" : "would prune",
                       events,
                       human_size(pruned.bytes),
                       retention.really ? "; `stemma ledger compact` gives the space back"
                                        : "; --yes does it");
    return status;
}

int run_compact(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    auto& store = context.store(lineage::Store::Mode::write);
    const auto before = lineage::sizes(store, context.clock().now()).file;
    lineage::compact(store);
    const auto after = lineage::sizes(store, context.clock().now()).file;
    context.log().info("{} became {}", human_size(before), human_size(after));
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
    return {
        .name = "ledger verify",
        .summary =
            "prove that no recorded fact was changed, lost or added behind the ledger's back",
        .synopsis = "[--rebuild] [--checkpoint FILE [--key PUBKEY]]",
        .description =
            "Checks every page of the file against its checksum, the database's structure, every "
            "event against its hash, every commit against its Merkle root (RFC 6962), and the "
            "chain of commits. With a checkpoint that was kept elsewhere, a cut or rewritten "
            "end is found as well; with --key also that somebody trusted signed it. Of a ledger in "
            "PostgreSQL this machine's copy is proved, then the server's rows, and that both say "
            "the same.",
        .options = {{.name = "rebuild",
                     .value = "",
                     .help = "also derive every table again, in a copy, and compare"},
                    {.name = "checkpoint",
                     .value = "FILE",
                     .help = "the ledger must still hold what it held then"},
                    {.name = "key",
                     .value = "PUBKEY",
                     .help = "the checkpoint must be signed with this Ed25519 key (PEM)",
                     .repeats = true}},
        .examples = {{"stemma ledger verify", "Prove the log."},
                     {"stemma ledger verify --rebuild --checkpoint /mnt/safe/monday.json",
                      "Prove everything, also against what was known on Monday."}},
        .exits = "0 whole; 4 whole as far as this machine knows a ledger whose server cannot be "
                 "reached; 5 violated, each finding named",
        .run = run_verify};
}

} // namespace

namespace {

Command prune_row()
{
    return {
        .name = "ledger prune",
        .summary = "take the content of old facts away that nothing living rests on",
        .synopsis = "--before TIME [--yes]",
        .description =
            "Facts from before TIME go, unless something rests on them that is there: a VM that is "
            "not retired, an image that is not retired, and everything in those; the newest build "
            "of each branch, the package packed last under each name, heads of channels, hosts. "
            "Without --yes it only says what would go.\n\n"
            "Each fact leaves a tombstone (its position, time, kind, origin and hash), so `ledger "
            "verify` proves the rest as before, and a fact ledger.pruned says what was taken. "
            "Questions about times before TIME are incomplete from then on. The other way is not "
            "there: keep a backup.",
        .options = {{.name = "before", .value = "TIME", .help = "RFC 3339, or an age: 90d, 52w"},
                    {.name = "yes", .value = "", .help = "really do it", .letter = 'y'}},
        .examples = {{"stemma ledger prune --before 365d", "Say what is older and dispensable."},
                     {"stemma ledger prune --before 365d --yes && stemma ledger compact",
                      "Take it away, and give the space back."}},
        .exits = {},
        .run = run_prune};
}

Command compact_row()
{
    return {
        .name = "ledger compact",
        .summary = "write the store's file anew, without free space",
        .synopsis = "",
        .description =
            "What was pruned or rebuilt leaves free pages, which are used again before the file "
            "grows; only when it shall become smaller is this needed. Takes as much free space as "
            "the file has (SQLite's VACUUM); others wait, and nothing is lost when it is "
            "interrupted. `stemma doctor` says how much it would give back. A file of an older "
            "version gets checksums of its pages.",
        .options = {},
        .examples = {{"stemma ledger compact", "After pruning."}},
        .exits = {},
        .run = run_compact};
}

} // namespace

std::vector<Command> ledger_commands()
{
    return {
        prune_row(),
        compact_row(),
        verify_row(),
        {.name = "ledger checkpoint",
         .summary = "print where the ledger stands, to be kept elsewhere",
         .synopsis = "[--sign KEY] [--out FILE]",
         .description =
             "One line of JSON with the number, root and chain hash of the last commit. Whoever "
             "keeps it can show later that nothing up to there was changed. Signed, it is a DSSE "
             "envelope around that line, and may be kept where others could write.",
         .options = {{.name = "out", .value = "FILE", .help = "write it there", .letter = 'o'},
                     {.name = "sign",
                      .value = "KEY",
                      .help = "sign it with this Ed25519 key (`stemma key generate`)"}},
         .examples = {{"stemma ledger checkpoint -o /mnt/safe/monday.json", "Keep Monday's."},
                      {"stemma ledger checkpoint --sign audit.key -o monday.json",
                       "So that nobody can put another in its place."}},
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
