#include "stemma/cli/command.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/collate/inspect.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/query.hpp"
#include "stemma/lineage/selector.hpp"
#include "stemma/lineage/store.hpp"

#include "groups.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t largest_manifest = std::uint64_t{2} << 30U;

/// A manifest file, or a build of the store by run id or project name.
model::Manifest load(Context& context, const std::string& name)
{
    std::string text = fs::is_regular_file(name) ? read_file(name, largest_manifest) : "";
    if (trim(text).starts_with('{')) {
        return model::parse_manifest(text, name);
    }
    try {
        // Also beside a file of the same name: a build is often called as what it makes.
        if (auto found = context.store().find_manifest(name)) {
            return *std::move(found);
        }
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found || text.empty()) {
            throw;
        }
    }
    if (!text.empty()) {
        throw Error(
            ErrorCode::corrupt,
            fmt::format("{} is no manifest: it does not begin as one", printable(name)),
            "`stemma manifest show FILE` takes a program as well, if a build on record made it");
    }
    throw Error(ErrorCode::not_found,
                fmt::format("no manifest file and no build is called '{}'", printable(name)),
                "`stemma log` lists what was recorded; `stemma build --out FILE` writes a file");
}

struct Wanted {
    model::Manifest manifest;
    std::string artifact; ///< its name, path, target or sha256; empty: all deliverables
};

/// The newest build that made this very file.
std::optional<Wanted> made_as(Context& context, const std::string& path)
{
    const auto digest = sha256_file(path).hex();
    const std::vector<std::string> selector = {"artifact:" + digest};
    lineage::Query query(context.store(), {});
    std::vector<std::uint64_t> history;
    try {
        history = query.history(query.select(lineage::parse_selection(selector, {})));
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
    }
    for (auto seq = history.rbegin(); seq != history.rend(); ++seq) {
        const auto event = query.event_item(*seq);
        const auto run = optional_string_member(event.at("body"), "run");
        auto manifest = run ? context.store().find_manifest(*run) : std::nullopt;
        if (manifest) {
            return Wanted{*std::move(manifest), digest};
        }
    }
    return std::nullopt;
}

Wanted wanted(Context& context, const std::vector<std::string>& words)
{
    try {
        return {load(context, words[0]), words.size() > 1 ? words[1] : std::string()};
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt || words.size() > 1) {
            throw;
        }
        if (auto made = made_as(context, words[0])) {
            return *std::move(made);
        }
        throw;
    }
}

Json file_json(const model::File& file)
{
    return {{"path", json_text(file.path)},
            {"repo", json_text(file.repo)},
            {"sha256", file.sha256.hex()},
            {"blob", json_or_null(file.blob)},
            {"state", to_string(file.state)},
            {"package", json_or_null(file.package)}};
}

Json artifact_json(const model::Manifest& manifest, const model::Artifact& artifact)
{
    Json item = file_json(manifest.files[artifact.file]);
    item["name"] = json_text(artifact.name);
    item["kind"] = to_string(artifact.kind);
    item["build_id"] = json_or_null(artifact.build_id);
    item["target"] = json_text(artifact.target);
    item["step"] = nullptr;
    if (artifact.step) {
        const auto& step = manifest.steps[*artifact.step];
        Json inputs = Json::array();
        for (const auto input : step.inputs) {
            inputs.push_back(file_json(manifest.files[input]));
        }
        Json argv = Json::array();
        for (const auto& argument : step.argv) {
            argv.push_back(json_text(argument));
        }
        item["step"] = {{"kind", to_string(step.kind)},
                        {"argv", std::move(argv)},
                        {"cwd", json_text(step.cwd)},
                        {"tool", step.tool ? file_json(manifest.files[*step.tool]) : Json(nullptr)},
                        {"inputs", std::move(inputs)}};
    }
    return item;
}

std::string heading(const model::Manifest& manifest)
{
    const auto& build = manifest.build;
    auto text = fmt::format("build {} of {}, {}\n",
                            manifest.run.id,
                            printable(build.name),
                            format_time(manifest.run.finished));
    text += fmt::format("  from {} at commit {}{}{}\n",
                        printable(build.repo),
                        build.commit.value_or("none"),
                        build.branch ? fmt::format(" ({})", printable(*build.branch)) : "",
                        build.dirty.empty() ? ""
                        : build.dirty.size() == 1
                            ? ", 1 file differs from it"
                            : fmt::format(", {} files differ from it", build.dirty.size()));
    if (!build.toolchain.empty()) {
        text += fmt::format("  with {}\n", printable(build.toolchain));
    }
    text += fmt::format("  {}, {}, {}, {}\n\n",
                        counted(manifest.steps.size(), "step"),
                        counted(manifest.artifacts.size(), "artifact"),
                        counted(manifest.files.size(), "file"),
                        manifest.complete() ? "complete" : counted(manifest.holes.size(), "hole"));
    for (const auto& hole : manifest.holes) {
        text +=
            fmt::format("  not seen: {}: {}\n", printable(hole.program), printable(hole.reason));
    }
    return text;
}

int run_manifest_show(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 2, "FILE|BUILD [ARTIFACT]");
    const auto [manifest, name] = wanted(context, words);
    const auto roots = hooks::deliverables(manifest, name);
    if (roots.empty()) {
        throw Error(ErrorCode::not_found,
                    fmt::format("the build made nothing that is called '{}'", printable(name)));
    }
    if (context.format == Format::table) {
        context.out(heading(manifest));
        context.out(hooks::manifest_tree(manifest, roots, args.has("system")));
        return 0;
    }
    Answer answer;
    answer.schema = "stemma.manifest-show/1";
    for (const auto* artifact : roots) {
        answer.items.push_back(artifact_json(manifest, *artifact));
    }
    answer.extra["build"] = model::to_json(manifest)["build"];
    answer.extra["run"] = manifest.run.id;
    for (const auto& hole : manifest.holes) {
        answer.gaps.push_back({hole.program, hole.reason});
    }
    return show(context,
                answer,
                {{"PATH", "path"},
                 {"KIND", "kind"},
                 {"SHA256", "sha256", Column::Align::left, Column::Style::digest},
                 {"TARGET", "target"}});
}

int run_manifest_diff(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "BEFORE AFTER");
    const auto before = load(context, words[0]);
    const auto after = load(context, words[1]);
    const auto changes = hooks::compare_manifests(before, after);
    Answer answer;
    answer.schema = "stemma.manifest-diff/1";
    for (const auto& change : changes) {
        answer.items.push_back({{"path", json_text(change.path)},
                                {"change", change.change},
                                {"why", change.why},
                                {"reason", join(change.why, "; ")}});
    }
    const auto sources = hooks::changed_sources(before, after);
    Json paths = Json::array();
    for (const auto& path : sources) {
        paths.push_back(json_text(path));
    }
    answer.extra["sources_changed"] = std::move(paths);
    const int shown =
        show(context, answer, {{"CHANGE", "change"}, {"PATH", "path"}, {"WHY", "reason"}});
    if (changes.empty() && !sources.empty()) {
        context.log().info("every artifact is the same, though these are not: {}",
                           printable(join(sources, ", ")));
    }
    return changes.empty() ? shown : exit_differs;
}

int run_manifest_verify(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "FILE|BUILD");
    const auto manifest = load(context, words[0]);
    Answer answer;
    answer.schema = "stemma.manifest-verify/1";
    std::size_t same = 0;
    std::size_t different = 0;
    for (const auto& file : hooks::verify_manifest(manifest, args.value_or("root", ""))) {
        same += file.state == "same" ? 1U : 0U;
        different += file.state == "same" ? 0U : 1U;
        if (file.state != "same" || args.has("all")) {
            answer.items.push_back(
                {{"path", json_text(file.path)},
                 {"role", file.role},
                 {"state", file.state},
                 {"expected", file.expected},
                 {"actual", file.actual.empty() ? Json(nullptr) : Json(file.actual)}});
        }
    }
    answer.extra["same"] = same;
    answer.extra["different"] = different;
    const int shown = show(context,
                           answer,
                           {{"STATE", "state"},
                            {"ROLE", "role"},
                            {"PATH", "path"},
                            {"EXPECTED", "expected", Column::Align::left, Column::Style::digest},
                            {"ACTUAL", "actual", Column::Align::left, Column::Style::digest}});
    context.log().info("{} as recorded, {} not", counted(same, "file"), different);
    return different == 0 ? shown : exit_differs;
}

} // namespace

std::vector<Command> manifest_commands()
{
    return {
        {.name = "manifest show",
         .summary = "what a build made, and out of what",
         .synopsis = "FILE|BUILD|PROGRAM [ARTIFACT] [--system]",
         .description =
             "Prints a tree: each program, library and package of the build, the step that made "
             "it, the objects that went in, their sources with git blob and state, headers, "
             "libraries, generated files and what made them. FILE is a manifest; BUILD a run id, "
             "its beginning, or the name of a project (its newest build); PROGRAM a file that a "
             "build on record made, found by its content.",
         .options = {{"system", "", "name every system file, not only their packages"}},
         .examples = {{"stemma manifest show shop", "The newest build of project shop."},
                      {"stemma manifest show shop.json shopd", "One artifact of a manifest file."},
                      {"stemma manifest show build/shopd", "The program that lies there."}},
         .exits = {},
         .run = run_manifest_show},
        {.name = "manifest diff",
         .summary = "what changed between two builds, and why each artifact changed",
         .synopsis = "BEFORE AFTER",
         .description =
             "Compares the artifacts of two builds by content. For each that changed, says "
             "which sources, arguments or tools of the steps behind it changed. Sources that "
             "changed and left every artifact as it was are named too; that is no difference.",
         .options = {},
         .examples = {{"stemma manifest diff shop-1.json shop-2.json", "Two manifest files."}},
         .exits = "3 the builds differ",
         .run = run_manifest_diff},
        {.name = "manifest verify",
         .summary = "hash a build's files again and compare them with its manifest",
         .synopsis = "FILE|BUILD [--root FOLDER] [--all]",
         .description =
             "Reads every source, system file and artifact of the build where it was and "
             "compares the digest. Intermediate files are left out.",
         .options = {{"root", "FOLDER", "where the build's root folder is now"},
                     {"all", "", "list files that are the same, too"}},
         .examples = {{"stemma manifest verify shop", "Is everything still as it was built?"}},
         .exits = "3 a file changed or is gone",
         .run = run_manifest_verify},
    };
}

} // namespace stemma::cli
