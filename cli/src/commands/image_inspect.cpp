#include "stemma/core/text.hpp"
#include "stemma/image/inspect.hpp"

#include <map>

#include "image.hpp"

namespace stemma::cli {

namespace {

Json known_item(const image::KnownFile& file)
{
    return {{"kind", file.kind},
            {"path", json_text(file.path)},
            {"name", json_text(file.name)},
            {"repo", json_text(file.repo)},
            {"build", file.build.empty() ? Json(nullptr) : Json(file.build)},
            {"sha256", file.sha256},
            {"build_id", file.build_id.empty() ? Json(nullptr) : Json(file.build_id)},
            {"basis", file.basis}};
}

Json note_item(const image::ProgramNote& note)
{
    return {{"path", json_text(note.path)},
            {"owner", json_text(note.owner)},
            {"type", note.type},
            {"value", json_text(note.value)}};
}

Answer answer_of(const image::Inspection& found)
{
    Answer answer{
        .schema = "stemma.image.inspect/1", .as_of = std::nullopt, .seq = std::nullopt, .gaps = {}};
    for (const auto& damage : found.damage) {
        answer.gaps.push_back({.what = "unreadable", .reason = damage});
    }
    for (const auto& file : found.known) {
        answer.items.push_back(known_item(file));
    }
    Json notes = Json::array();
    for (const auto& note : found.notes) {
        notes.push_back(note_item(note));
    }
    Json parent;
    if (found.parent) {
        parent = {{"name", found.parent->name},
                  {"digest", found.parent->digest},
                  {"share", found.parent->share}};
    }
    answer.extra = {{"os", json_text(found.os)},
                    {"files", found.files},
                    {"programs", found.programs},
                    {"packages", found.packages},
                    {"parent", parent},
                    {"notes", notes}};
    return answer;
}

/// Builders write little; a long note is cut.
std::string shown_value(const std::string& value)
{
    constexpr std::size_t most = 120;
    return printable(std::string_view(value).substr(0, most)) + (value.size() > most ? "…" : "");
}

/// What a builder writes into every program of a package is one line.
std::string text_of_notes(const std::vector<image::ProgramNote>& notes)
{
    std::map<std::string, std::vector<std::string>> programs; // by what the note says
    for (const auto& note : notes) {
        auto said = fmt::format("{} {}: {}", printable(note.owner), note.type, note.value);
        programs[std::move(said)].push_back(printable(note.path));
    }
    std::string text;
    for (const auto& [said, paths] : programs) {
        text += fmt::format("{:<10} {}{}  {}\n",
                            "note",
                            paths.front(),
                            paths.size() > 1 ? fmt::format(" and {} more", paths.size() - 1) : "",
                            shown_value(said));
    }
    return text;
}

std::string text_for_people(const image::Inspection& found)
{
    std::string text = fmt::format("{:<10} {}\n{:<10} {}\n{:<10} {} read, {} programs\n",
                                   "os",
                                   found.os.empty() ? "unknown" : printable(found.os),
                                   "packages",
                                   found.packages.size(),
                                   "files",
                                   found.files,
                                   found.programs);
    if (found.parent) {
        text += fmt::format("{:<10} image:{} {:.12}, {:.0f} % of the packages are the same\n",
                            "like",
                            found.parent->name,
                            found.parent->digest,
                            100 * found.parent->share);
    }
    for (const auto& file : found.known) {
        text += fmt::format("{:<10} {}  {}{}{}, by {}\n",
                            file.kind,
                            printable(file.path),
                            file.repo.empty() ? "" : printable(file.repo) + ":",
                            printable(file.name),
                            file.build.empty() ? "" : " of build " + file.build,
                            file.basis);
    }
    return text + text_of_notes(found.notes);
}

} // namespace

int run_image_inspect(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "SEL");
    const auto selected = select_image(context, args, words[0]);
    image::Inspection found;
    {
        const auto tree = image::open_selected(selected);
        found = image::inspect(store_if_any(context),
                               *tree,
                               selected.recorded ? selected.recorded->digest : std::string(),
                               context.cancel());
    }
    auto answer = answer_of(found);
    if (const auto name = args.value("record")) {
        auto world = image_world(context);
        const auto change = image::import_inspected(world, *name, selected, found);
        answer.extra["recorded"] = image_item(change.image);
    }
    for (const auto& gap : answer.gaps) {
        context.log().warning("{}", gap.reason);
    }
    if (context.format == Format::table) {
        context.out(text_for_people(found));
    } else {
        show(context,
             answer,
             {{.title = "kind", .member = "kind"},
              {.title = "path", .member = "path"},
              {.title = "name", .member = "name"},
              {.title = "basis", .member = "basis"}});
    }
    return answer.gaps.empty() ? 0 : exit_incomplete;
}

} // namespace stemma::cli
