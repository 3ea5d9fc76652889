// `stemma push`: what this store recorded, handed to another one.

#include "stemma/cli/render.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/ledger.hpp"

#include "question.hpp"

namespace stemma::cli {

namespace {

constexpr std::uint64_t usual_batch = 1000;

/// Takes events in order; when it returns they are durable there.
class Destination {
public:
    Destination() = default;
    virtual ~Destination() = default;
    Destination(const Destination&) = delete;
    Destination& operator=(const Destination&) = delete;
    [[nodiscard]] virtual std::string name() const = 0;
    virtual void take(const std::vector<model::Event>& events) = 0;
};

class OtherStore final : public Destination {
public:
    OtherStore(Context& context, const std::string& url)
        : url_(url),
          store_(lineage::Store::open(
              url, lineage::Store::Mode::write, context.clock(), context.log()))
    {
        if (store_->origin() == context.store().origin()) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} is this store itself, or a copy of it",
                                    printable(lineage::shown_store(url))),
                        "name the store that shall learn of it");
        }
    }
    [[nodiscard]] std::string name() const override
    {
        return "store " + lineage::shown_store(url_);
    }
    void take(const std::vector<model::Event>& events) override { store_->append(events); }

private:
    std::string url_;
    std::unique_ptr<lineage::Store> store_;
};

/// A command that reads events, one a line, and ends well when it has recorded all of them.
class Through final : public Destination {
public:
    Through(std::vector<std::string> argv, const Cancel& cancel)
        : argv_(std::move(argv)), cancel_(cancel)
    {
    }
    [[nodiscard]] std::string name() const override { return "command " + shell_join(argv_); }
    void take(const std::vector<model::Event>& events) override
    {
        stemma::Command command{.argv = argv_, .cancel = &cancel_};
        for (const auto& event : events) {
            command.input += model::canonical_event(event) + "\n";
        }
        run_checked(command);
    }

private:
    std::vector<std::string> argv_;
    const Cancel& cancel_;
};

/// How far a destination has acknowledged, in a file of the state folder:
/// {"origin","schema":"stemma.pushed/1","seq","to"}. When it is lost, everything is pushed again,
/// and found to be known.
class Mark {
public:
    Mark(Context& context, std::string to)
        : file_(context.make_state_folder("pushed") / (sha256(to).hex().substr(0, 16) + ".json")),
          to_(std::move(to)),
          origin_(context.store().origin())
    {
    }

    [[nodiscard]] std::uint64_t seq() const
    {
        if (!std::filesystem::exists(file_)) {
            return 0;
        }
        const auto json = parse_json(read_file(file_, 1U << 20U), file_.string());
        const bool mine = string_member(json, "origin") == origin_;
        return mine ? static_cast<std::uint64_t>(integer_member(json, "seq")) : 0;
    }

    void move_to(std::uint64_t seq) const
    {
        write_file(file_,
                   canonical_json({{"origin", origin_},
                                   {"schema", "stemma.pushed/1"},
                                   {"seq", seq},
                                   {"to", json_text(to_)}}) +
                       "\n");
    }

private:
    std::filesystem::path file_;
    std::string to_;
    std::string origin_;
};

std::unique_ptr<Destination> destination(Context& context, const Args& args)
{
    if (args.rest().empty() == args.words().empty()) {
        throw Error(ErrorCode::usage,
                    "where to? Name a store, or a command after two dashes",
                    "for instance: stemma push -- ssh db.example stemma ingest -");
    }
    if (!args.rest().empty()) {
        return std::make_unique<Through>(args.rest(), context.cancel());
    }
    return std::make_unique<OtherStore>(context, args.expect_words(1, 1, "STORE").front());
}

int run_push(Context& context, const Args& args)
{
    auto& store = context.store();
    const auto to = destination(context, args);
    const auto batch = args.number("batch", 1, 1'000'000).value_or(usual_batch);
    const Mark mark(context, to->name());
    const auto start = args.has("all") ? 0 : mark.seq();
    const auto last = store.last_seq();
    auto seq = start;
    std::uint64_t pushed = 0;
    Activity activity(context.progress(), "pushing", last - std::min(start, last), "events");
    while (seq < last) {
        context.cancel().check();
        const auto part = lineage::events_after(store, seq, batch);
        if (!part.events.empty()) {
            doing([&] { to->take(part.events); }, "pushing events after {} to {}", seq, to->name());
        }
        pushed += part.events.size();
        activity.advance(part.last - seq);
        seq = part.last;
        mark.move_to(seq);
    }
    Answer answer;
    answer.schema = "stemma.push/1";
    answer.seq = seq;
    answer.items.push_back(
        {{"to", json_text(to->name())}, {"after", start}, {"seq", seq}, {"pushed", pushed}});
    return show(context,
                answer,
                {{.title = "TO", .member = "to"},
                 {.title = "PUSHED", .member = "pushed", .align = Column::Align::right},
                 {.title = "UP TO", .member = "seq", .align = Column::Align::right}});
}

} // namespace

Command push_row()
{
    return {
        .name = "push",
        .summary = "hand what this store recorded to another one, in order, each fact once",
        .synopsis = "STORE | -- COMMAND…",
        .description =
            "For a host or a build machine that cannot always reach the store of all: it records "
            "into a store of its own, which is durable and answers questions, and pushes when the "
            "way is open. Events go in order and in batches; how far the other side has "
            "acknowledged is kept, so the next push goes on from there, and an interrupted one is "
            "simply run again: what is known there already changes nothing.\n\n"
            "The other side is a store's file or address, or a command that gets the events on its "
            "standard "
            "input, one a line, and ends with status 0 when it has recorded all of them.",
        .options = {{.name = "all",
                     .value = "",
                     .help = "from the first event on, whatever was acknowledged before"},
                    {.name = "batch",
                     .value = "N",
                     .help = "events that are acknowledged together (1000)"}},
        .examples = {{"stemma push -- ssh db.example stemma ingest -",
                      "To the store of another machine, with ssh's keys and rights."},
                     {"stemma push /mnt/lineage/lineage.db",
                      "To a store that is reached as a file."},
                     {"stemma push postgresql://db.example/lineage",
                      "To a team's ledger; so a store that was a file moves there."},
                     {"*/5 * * * * stemma push -- ssh db.example stemma ingest - 2>/dev/null",
                      "In a crontab: within five minutes when the network is there."}},
        .exits = "0 everything is acknowledged; 1 it is not, and the next push goes on from where "
                 "this one ended",
        .run = run_push,
        .rest_is_command = true};
}

} // namespace stemma::cli
