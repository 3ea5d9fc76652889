// `stemma run`: a question, and a command for each of its answers.

#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "groups.hpp"
#include "question.hpp"

namespace stemma::cli {

namespace {

constexpr std::uint64_t usual_max = 100;

/// "10/s", "30/m": how long to wait between the starts of two actions.
std::chrono::microseconds pause_of(const std::string& rate)
{
    const auto slash = rate.find('/');
    const auto number = parse_unsigned(std::string_view(rate).substr(0, slash));
    const auto unit = slash == std::string::npos ? std::string("s") : rate.substr(slash + 1);
    const std::int64_t seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
    if (!number || *number == 0 || seconds == 0) {
        throw Error(ErrorCode::usage,
                    fmt::format("--rate {}: not a rate", printable(rate)),
                    "write for instance 2/s, 30/m or 100/h");
    }
    return std::chrono::microseconds(std::chrono::seconds(seconds)) /
           static_cast<std::int64_t>(*number);
}

/// "{}" becomes the item's name, "{member}" a member of it.
std::string filled_in(const std::string& word, const Json& item)
{
    std::string text;
    for (std::size_t at = 0; at < word.size();) {
        const auto close = word[at] == '{' ? word.find('}', at) : std::string::npos;
        if (close == std::string::npos) {
            text += word[at++];
            continue;
        }
        const auto key = word.substr(at + 1, close - at - 1);
        const auto found = key.empty() ? item.end() : item.find(key);
        if (key.empty()) {
            text += name_of_item(item);
        } else if (found != item.end() && !found->is_null()) {
            text += found->is_string() ? found->get<std::string>() : text_of(*found, key);
        } else {
            text += word.substr(at, close - at + 1);
        }
        at = close + 1;
    }
    return text;
}

/// One word of the command for an item. A name that begins with a dash must not become an option.
std::string argument(const std::string& word, const Json& item)
{
    auto text = filled_in(word, item);
    if (text.starts_with('-') && !word.starts_with('-')) {
        throw Error(ErrorCode::conflict,
                    fmt::format("'{}' would be taken for an option", printable(text)),
                    "name the item by its uuid or digest: {uuid}, {digest}");
    }
    return text;
}

/// A verb of this program, or any other program.
bool is_own_verb(const std::vector<std::string>& words)
{
    return std::any_of(all_commands().begin(), all_commands().end(), [&](const Command& command) {
        return split(command.name, ' ').front() == words.front();
    });
}

struct PlannedRun {
    Json item;
    std::vector<std::string> argv;
};

std::vector<PlannedRun>
plan(Context& context, const Json& items, const std::vector<std::string>& words)
{
    const bool named = std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return word.find('{') != std::string::npos;
    });
    if (words.empty() || !named) {
        throw Error(ErrorCode::usage,
                    "the command does not say where an item goes",
                    "write for instance: stemma run vm:shop-* -- vm stop {}");
    }
    std::vector<PlannedRun> actions;
    for (const auto& item : items) {
        PlannedRun action{item, {}};
        if (is_own_verb(words)) {
            action.argv = context.own_command();
        }
        for (const auto& word : words) {
            action.argv.push_back(argument(word, item));
        }
        actions.push_back(std::move(action));
    }
    return actions;
}

/// The set as it was when it was asked for; nothing of the store stays open.
struct Frozen {
    Json items;
    std::uint64_t seq = 0;
    std::vector<lineage::Gap> gaps;
};

Frozen freeze(Context& context, const Args& args)
{
    Question question(context, args);
    auto& query = question.query();
    auto nodes = question.select(args.expect_words(1, ~std::size_t{0}, "SEL…"));
    if (args.has("to")) {
        auto all = query.downstream(nodes, question.kinds());
        all.merge(query.upstream(nodes, question.kinds()));
        all.merge(nodes);
        nodes = question.filtered(all);
    }
    return {question.kept(query.items(nodes)), question.seq(), query.gaps()};
}

Json event_body(const PlannedRun& action, const std::string& run, std::uint64_t seq)
{
    Json argv = Json::array();
    for (const auto& word : action.argv) {
        argv.push_back(json_text(word));
    }
    Json body = {{"name", json_text(name_of_item(action.item))},
                 {"command", argv},
                 {"item", action.item},
                 {"run", run},
                 {"set_seq", seq}};
    if (action.item["type"] == "vm") {
        body["uuid"] = action.item["uuid"]; // so that it is in the VM's own log
    }
    return body;
}

/// Runs one action; what it did is in the ledger whatever happens next.
int perform(Context& context, const PlannedRun& action, const std::string& run, std::uint64_t seq)
{
    auto& store = context.store(lineage::Store::Mode::write);
    auto body = event_body(action, run, seq);
    body["phase"] = "begin";
    body["exit"] = nullptr;
    store.record({context.clock().now(), "action.run", body});
    int code = 127;
    try {
        Child child(action.argv, {});
        const auto exit = child.wait();
        code = exit.signal != 0 ? 128 + exit.signal : exit.code;
    } catch (const Error& error) {
        context.log().warning("{}", error.one_line());
    }
    body["phase"] = code == 0 ? "done" : "failed";
    body["exit"] = code;
    doing(
        [&] {
            store.record({context.clock().now(), "action.run", body});
        },
        "recording that the command for {} ended with {}",
        printable(name_of_item(action.item)),
        code);
    return code;
}

const std::vector<Column> run_columns = {
    {.title = "ITEM", .member = "name"},
    {.title = "COMMAND", .member = "command"},
    {.title = "EXIT", .member = "exit", .align = Column::Align::right}};

std::string command_text(const PlannedRun& action)
{
    auto argv = action.argv;
    argv.front() = std::filesystem::path(argv.front()).filename().string();
    if (argv.size() > 3 && argv[1] == "--store") { // own_command() put it there
        argv.erase(argv.begin() + 1, argv.begin() + 3);
    }
    return shell_join(argv);
}

void check_allowed(const Args& args, const Frozen& frozen)
{
    const auto most = args.number("max", 1, 1'000'000).value_or(usual_max);
    if (frozen.items.size() > most) {
        throw Error(ErrorCode::usage,
                    fmt::format("the set has {} items, more than the {} that are allowed",
                                frozen.items.size(),
                                most),
                    "--max N allows more");
    }
    if (!frozen.gaps.empty() && !args.has("force")) {
        throw Error(ErrorCode::conflict,
                    fmt::format("the set may be incomplete: {}: {}",
                                frozen.gaps[0].what,
                                frozen.gaps[0].reason),
                    "--force acts on what is known");
    }
}

int run_run(Context& context, const Args& args)
{
    const auto pause = pause_of(args.value_or("rate", "1000/s"));
    const auto frozen = freeze(context, args);
    const auto actions = plan(context, frozen.items, args.rest());
    const bool really = args.has("yes");
    if (really) {
        check_allowed(args, frozen);
    }
    const auto run = make_uuid7(context.clock().now());
    Answer answer;
    answer.schema = "stemma.run/1";
    answer.seq = frozen.seq;
    answer.gaps = really ? std::vector<lineage::Gap>() : frozen.gaps;
    std::size_t failed = 0;
    for (const auto& action : actions) {
        context.cancel().check();
        Json item = {{"name", json_text(name_of_item(action.item))},
                     {"item", action.item},
                     {"command", json_text(command_text(action))},
                     {"exit", nullptr}};
        if (really) {
            const auto begin = std::chrono::steady_clock::now();
            const int code = perform(context, action, run, frozen.seq);
            item["exit"] = code;
            failed += code == 0 ? 0 : 1;
            std::this_thread::sleep_until(begin + pause);
        }
        answer.items.push_back(std::move(item));
        if (failed != 0 && !args.has("keep-going")) {
            break;
        }
    }
    answer.extra = {{"run", really ? Json(run) : Json()},
                    {"dry_run", !really},
                    {"failed", failed},
                    {"planned", actions.size()}};
    const int status = show(context, answer, run_columns);
    if (!really && !actions.empty()) {
        context.log().info("nothing was done; --yes does it");
    }
    if (failed != 0) {
        return failed == answer.items.size() ? 1 : 4;
    }
    return status;
}

} // namespace

Command run_row()
{
    return {
        .name = "run",
        .summary = "a command for each of a set; a dry run unless --yes",
        .synopsis = "SEL… [--to KIND] [--yes] -- VERB… {}",
        .description = "Asks for a set, freezes it at one position of the ledger, and runs a "
                       "command for each of its "
                       "items, one after the other: a verb of stemma, or any other program. {} "
                       "becomes the item's "
                       "name, {uuid}, {digest} and so on its members. Stops at the first failure "
                       "unless --keep-going. "
                       "Every action and its outcome are events (action.run).",
        .options = question_options(
            {{.name = "yes", .value = "", .help = "really do it", .letter = 'y'},
             {.name = "max", .value = "N", .help = "refuse a larger set (100)"},
             {.name = "rate", .value = "N/s", .help = "no faster than this; also N/m, N/h"},
             {.name = "force", .value = "", .help = "also when the set is known to be incomplete"},
             {.name = "keep-going", .value = "", .help = "also after a failure"}}),
        .examples =
            {{"stemma run 'package:openssl<3.0.11' --to vms -- vm stop {}",
              "Show which VMs would be stopped."},
             {"stemma run release:shop --yes --rate 6/m -- vm exec {} -- systemctl restart shopd",
              "Restart a service everywhere, one VM in ten seconds."}},
        .exits = "0 all done, or a dry run; 4 some failed, or the set is known to be incomplete; 1 "
                 "all failed",
        .run = run_run,
        .rest_is_command = true};
}

} // namespace stemma::cli
