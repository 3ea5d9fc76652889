#include "stemma/analyzer/peers.hpp"
#include "stemma/analyzer/report.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"

#include "compare_causes.hpp"
#include "compare_set.hpp"
#include "groups.hpp"
#include "learn.hpp"

namespace stemma::cli {

namespace {

constexpr std::size_t text_limit = 10;

Json item_of(const analyzer::Finding& finding, std::size_t rank, Json event)
{
    Json members = Json::array();
    for (const auto& member : finding.members) {
        members.push_back(
            {{"file", json_text(member.file)}, {"setting", json_text(member.setting)}});
    }
    const auto text_or_null = [](const std::optional<std::string>& text) {
        return text ? json_text(*text) : Json(nullptr);
    };
    return {{"rank", rank},
            {"setting", json_text(finding.setting)},
            {"file", json_text(finding.file)},
            {"line", finding.line == 0 ? Json(nullptr) : Json(finding.line)},
            {"value", text_or_null(finding.value)},
            {"expected", text_or_null(finding.expected)},
            {"category", analyzer::to_string(finding.category)},
            {"score", finding.score},
            {"peers_with", finding.peers_with},
            {"peers", finding.peers},
            {"reason", json_text(finding.reason)},
            {"members", std::move(members)},
            {"since", finding.since.empty() ? Json(nullptr) : json_text(finding.since)},
            {"event", std::move(event)}};
}

Answer answer_of(const ComparedSet& set,
                 const analyzer::Ranking& ranking,
                 const analyzer::RankOptions& options,
                 const std::vector<Json>& events,
                 std::size_t limit)
{
    Answer answer;
    answer.schema = "stemma.compare/1";
    answer.gaps = set.gaps;
    for (const auto& finding : ranking.findings) {
        if (answer.items.size() >= limit) {
            break;
        }
        answer.items.push_back(
            item_of(finding, answer.items.size() + 1, events[answer.items.size()]));
    }
    answer.extra = {{"target", set.target_name},
                    {"snapshot", json_or_null(set.target_snapshot)},
                    {"method", analyzer::to_string(options.method)},
                    {"service", options.service.empty() ? Json(nullptr) : Json(options.service)},
                    {"peers", {{"count", ranking.peers}, {"are", set.peers_are}}},
                    {"settings", ranking.settings},
                    {"uniform", ranking.uniform},
                    {"of_interest", ranking.of_interest},
                    {"noise", ranking.noise}};
    return answer;
}

int explain(Context& context,
            const ComparedSet& set,
            const analyzer::PeerModel& model,
            const analyzer::RankOptions& options,
            const std::string& setting)
{
    const auto found = model.explain(set.target, setting, options);
    if (found.empty()) {
        throw Error(
            ErrorCode::not_found,
            fmt::format("neither {} nor its peers have a setting {}", set.target_name, setting),
            "settings are called as `stemma compare` prints them: FILE:KEY, KEY, or the "
            "last part of the key");
    }
    if (context.format == Format::table) {
        context.out(analyzer::explain_text(set.target_name, found, context.colour));
        return 0;
    }
    Answer answer;
    answer.schema = "stemma.explain/1";
    for (const auto& distribution : found) {
        Json rows = Json::array();
        for (const auto& row : distribution.rows) {
            rows.push_back({{"value", row.absent ? Json(nullptr) : json_text(row.value)},
                            {"count", row.count},
                            {"target", row.target},
                            {"vms", row.vms}});
        }
        answer.items.push_back({{"file", json_text(distribution.file)},
                                {"setting", json_text(distribution.setting)},
                                {"peers", distribution.peers},
                                {"comparable", distribution.comparable},
                                {"contexts", distribution.contexts},
                                {"values", std::move(rows)}});
    }
    return show(context, answer, {{"FILE", "file"}, {"SETTING", "setting"}});
}

void gather(Context& context, const Args& args, ComparedSet& set)
{
    if (const auto rules = args.value("rules")) {
        set.rules = analyzer::load_canonical_rules(*rules);
    }
    set.pool = std::make_unique<analyzer::Pool>(set.rules.empty() ? nullptr : &set.rules);
    if (args.has("dir")) {
        args.expect_words(0, 0, "no TARGET beside --dir");
        compare_trees(context, args, set);
    } else {
        compare_vms(context, args, set);
    }
    if (set.pool->live() == 0) {
        throw Error(
            ErrorCode::not_found,
            fmt::format("{} has no peers to be compared with ({})", set.target_name, set.peers_are),
            args.has("dir") ? "--peers-dir holds neither folders nor .tar files"
                            : "take snapshots of its peers: stemma snapshot take VM…");
    }
}

int run_compare(Context& context, const Args& args)
{
    ComparedSet set;
    gather(context, args, set);
    analyzer::RankOptions options;
    options.method = analyzer::method_from(args.value_or("method", "stemma"));
    options.service = args.value_or("service", "");
    const analyzer::PeerModel model(*set.pool);
    if (const auto setting = args.value("explain")) {
        return explain(context, set, model, options, *setting);
    }
    analyzer::Ranking ranking = model.rank(set.target, options);
    const std::vector<Json> events = trace_findings(context, set, ranking.findings);
    const std::size_t limit =
        args.number("limit", 1, 1'000'000)
            .value_or(context.format == Format::table ? text_limit : 1'000'000);
    if (const auto file = args.value("html")) {
        const auto past = past_of(context, set);
        const analyzer::ReportInput input{
            set.target_name, set.peers_are, ranking, set.target, *set.pool, model, options, past};
        write_file(*file, analyzer::ranking_html(input));
        context.log().info("wrote {}", *file);
    }
    const bool differs = ranking.of_interest > 0;
    if (context.format == Format::table) {
        for (const auto& gap : set.gaps) {
            context.log().warning("{}: {}", gap.what, gap.reason);
        }
        context.out(analyzer::ranking_text(
            set.target_name, set.peers_are, ranking, {context.colour, limit, args.has("all")}));
    } else {
        const int status = show(context,
                                answer_of(set, ranking, options, events, limit),
                                {{"RANK", "rank"},
                                 {"FILE", "file"},
                                 {"LINE", "line"},
                                 {"SETTING", "setting"},
                                 {"VALUE", "value"},
                                 {"EXPECTED", "expected"},
                                 {"CATEGORY", "category"},
                                 {"SCORE", "score"},
                                 {"PEERS_WITH", "peers_with"},
                                 {"PEERS", "peers"},
                                 {"REASON", "reason"},
                                 {"SINCE", "since"},
                                 {"EVENT", "event.seq"}});
        if (status != 0) {
            return status;
        }
    }
    return differs ? 3 : (set.gaps.empty() ? 0 : 4);
}

} // namespace

std::vector<Command> compare_commands()
{
    std::vector<Command> commands = {
        {.name = "compare",
         .summary = "rank what sets a VM apart from its peers, with the reason",
         .synopsis = "TARGET [--peers SET] | --dir TREE --peers-dir FOLDER",
         .description =
             "Compares the newest snapshot of a VM (or a named snapshot) with those of its peers "
             "and "
             "ranks the settings that make it the odd one out: what peers agree on and the target "
             "does not, judged by how much such settings vary, within the peers that are "
             "comparable "
             "in this respect. Host names, addresses, machine ids, keys, logs and the like are "
             "taken out by rule.\n\n"
             "Peers are, unless --peers names them, the VMs of the same release, else those of the "
             "same image lineage, else those with the same packages, else all VMs.\n\n"
             "With --dir nothing but file trees is needed: an unpacked root file system, a .tar or "
             "an image, "
             "and a folder of such. A JSON file beside a tree (web1.tar, web1.json) may say what a "
             "hypervisor knows of it: mem (MiB), vcpu, disks (name to UUID).",
         .options =
             {{"peers",
               "SET",
               "who is compared with: vm:NAME-OR-GLOB, release:NAME, image:NAME, joined by +"},
              {"dir", "TREE", "the target: an unpacked tree, a .tar or a disk image"},
              {"peers-dir", "FOLDER", "the peers: folders, .tar files and disk images in there"},
              {"exclude", "NAME", "a peer that is left out", true},
              {"definition", "FILE", "what to extract of trees; see docs/analyzer.md"},
              {"rules", "FILE", "canonical forms of your own; see docs/compare.md"},
              {"method", "NAME", "stemma (default), peerpressure, tfidf or diff"},
              {"service", "NAME", "what is broken, when you know: its settings come first"},
              {"explain", "SETTING", "show how a setting's values are spread over the peers"},
              {"baseline",
               "SNAPSHOT",
               "compare with this snapshot (the VM's own past) instead of peers"},
              {"since", "TIME", "compare with the VM's own last snapshot before this"},
              {"html", "FILE", "also write one self-contained page with plots"},
              {"limit", "N", "show the first N findings"},
              {"all", "", "show what is probably noise, too"}},
         .examples = {{"stemma compare vm:shop-3", "What is odd about shop-3?"},
                      {"stemma compare vm:web-7 --peers 'vm:web-*' --service nginx",
                       "nginx on web-7 misbehaves: why there and not on the others?"},
                      {"stemma compare vm:shop-3 --explain http/client_max_body_size",
                       "Who has which value?"},
                      {"stemma compare --dir broken.tar --peers-dir fleet/ --html odd.html",
                       "Over file trees, with a page to look at."}},
         .exits =
             "0 nothing of interest; 3 differences of interest were found; 4 nothing of interest, "
             "but some peers could not be read",
         .run = run_compare},
    };
    auto learn = learn_rows();
    for (Command& row : learn) {
        commands.push_back(std::move(row));
    }
    return commands;
}

} // namespace stemma::cli
