#include "stemma/collate/collate.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/export/import.hpp"
#include "stemma/model/event.hpp"
#include "stemma/model/manifest.hpp"

#include <sys/stat.h>

#include <chrono>

#include "question.hpp"

namespace stemma::cli {

namespace {

struct Taken {
    std::string kind;
    std::uint64_t fresh = 0;
    std::uint64_t duplicates = 0;
};

/// When a file was last written: the time of what it says, where it does not say.
Time time_of_file(const std::string& name, Time now)
{
    struct stat status {};
    if (name == "-" || ::stat(name.c_str(), &status) != 0) {
        return now;
    }
    return Time(std::chrono::seconds(status.st_mtim.tv_sec));
}

/// A manifest says its own identity: a run that is known is not recorded again.
Taken take_manifest(lineage::Store& store, const model::Manifest& manifest)
{
    if (store.has_build(manifest.run.id)) {
        return {"manifest", 0, 1};
    }
    const model::EventDraft draft{
        manifest.run.finished, "build.recorded", Json{{"manifest", model::to_json(manifest)}}};
    const auto result = store.record(draft);
    return {"manifest", result.fresh, result.duplicates};
}

/// Events one a line; a batch is one commit, so that a large file does not wait for the disk at
/// every line.
Taken take_events(Context& context,
                  lineage::Store& store,
                  std::string_view text,
                  const std::string& name)
{
    constexpr std::size_t batch_size = 1000;
    Taken taken{"events", 0, 0};
    std::vector<model::Event> batch;
    const auto flush = [&] {
        const auto result = store.append(batch);
        taken.fresh += result.fresh;
        taken.duplicates += result.duplicates;
        batch.clear();
    };
    const auto lines = split_lines(text);
    Activity activity(context.progress(), "ingesting " + name, lines.size(), "events");
    std::size_t number = 0;
    for (const auto line : lines) {
        context.cancel().check();
        ++number;
        if (trim(line).empty()) {
            continue;
        }
        batch.push_back(doing([&] { return model::event_from_json(parse_json(line, "event")); },
                              "reading line {}",
                              number));
        if (batch.size() == batch_size) {
            flush();
        }
        activity.advance();
    }
    flush();
    return taken;
}

/// Attestations and SBOMs of other tools; nullopt for anything else.
std::optional<Taken> take_foreign(Context& context,
                                  lineage::Store& store,
                                  std::string_view text,
                                  const std::string& name)
{
    const auto imported =
        exporting::import_document(text, name, time_of_file(name, context.clock().now()));
    if (!imported) {
        return std::nullopt;
    }
    for (const auto& note : imported->notes) {
        context.log().warning("{}: {}", printable(name), note);
    }
    const auto events = exporting::as_events(*imported, text);
    const auto result = store.append(events);
    return Taken{imported->format, result.fresh, result.duplicates};
}

/// A journal of launchers, or one that a stopped `stemma build` left behind.
Taken take_journal(Context& context, lineage::Store& store, const std::string& name)
{
    hooks::CollateOptions options;
    options.cache = (context.make_state_folder("cache") / "system-files").string();
    options.history = [&store](const Digest& content) { return store.manifest_that_made(content); };
    const auto manifest = hooks::collate_journal(name, options);
    for (const auto& hole : manifest.holes) {
        context.log().warning("not seen: {}: {}", printable(hole.program), printable(hole.reason));
    }
    auto taken = take_manifest(store, manifest);
    taken.kind = "journal";
    return taken;
}

bool is_manifest(std::string_view text)
{
    // Canonical manifests are one line; others are one JSON value all the same.
    const auto line = text.substr(0, text.find('\n'));
    return line.find("\"stemma.event/") == std::string_view::npos;
}

/// One JSON value a line, and the first is no event: as one document it would be "not valid JSON"
/// in its second line, which misleads.
void expect_one_value(std::string_view text, const std::string& name)
{
    const auto end = text.find('\n');
    if (end == std::string_view::npos || trim(text.substr(end)).empty()) {
        return;
    }
    try {
        parse_json(text.substr(0, end), name);
    } catch (const Error&) {
        return; // a value of many lines
    }
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: line 1 is no event: its \"schema\" is not \"stemma.event/1\"",
                            printable(name)),
                "`stemma log SEL --format ndjson` shows how events are written");
}

Taken take(Context& context, lineage::Store& store, const std::string& name)
{
    const auto text = name == "-" ? read_file("/dev/stdin") : read_file(name, 4ULL << 30U);
    if (trim(text).empty()) {
        throw Error(ErrorCode::corrupt, fmt::format("{} is empty", name));
    }
    if (name != "-" && text.substr(0, 4) == "StJ1") {
        return take_journal(context, store, name);
    }
    if (!is_manifest(text)) {
        return take_events(context, store, text, name);
    }
    if (const auto taken = take_foreign(context, store, text, name)) {
        return *taken;
    }
    expect_one_value(text, name);
    return take_manifest(store, model::manifest_from_json(parse_json(text, name)));
}

const std::vector<Column> columns = {
    {.title = "FILE", .member = "file"},
    {.title = "KIND", .member = "kind"},
    {.title = "NEW", .member = "fresh", .align = Column::Align::right},
    {.title = "KNOWN", .member = "duplicates", .align = Column::Align::right},
    {.title = "ERROR", .member = "error"}};

} // namespace

int run_ingest(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, ~std::size_t{0}, "FILE…|-");
    auto& store = context.store(lineage::Store::Mode::write);
    Answer answer;
    answer.schema = "stemma.ingest/1";
    std::size_t failed = 0;
    for (const auto& name : words) {
        Json item = {{"file", json_text(name)},
                     {"kind", nullptr},
                     {"fresh", 0},
                     {"duplicates", 0},
                     {"error", nullptr}};
        try {
            const auto taken =
                doing([&] { return take(context, store, name); }, "ingesting {}", name);
            item["kind"] = taken.kind;
            item["fresh"] = taken.fresh;
            item["duplicates"] = taken.duplicates;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted || words.size() == 1) {
                throw;
            }
            ++failed;
            item["error"] = json_text(error.one_line());
        }
        answer.items.push_back(std::move(item));
    }
    answer.seq = store.last_seq();
    show(context, answer, columns);
    return failed == 0 ? 0 : failed == words.size() ? 1 : 4;
}

} // namespace stemma::cli
