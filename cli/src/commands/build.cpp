#include "stemma/cli/command.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/collate/collate.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/hooks/observe.hpp"
#include "stemma/lineage/store.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> manifest_commands(); // manifest.cpp
std::vector<Command> pack_commands();     // pack.cpp

namespace {

namespace fs = std::filesystem;

/// Where the journal is written while the build runs; a store that cannot be written to must not
/// stop a build.
fs::path journal_folder(Context& context)
{
    try {
        return context.make_state_folder("journals");
    } catch (const Error& error) {
        context.log().debug("{}", error.one_line());
        return fs::temp_directory_path();
    }
}

hooks::SessionRecord describe(Context& context, const std::vector<std::string>& argv)
{
    hooks::SessionRecord record;
    const Time now = context.clock().now();
    record.id = make_uuid7(now);
    record.started = static_cast<std::uint64_t>(now.time_since_epoch().count());
    utsname machine{};
    if (::uname(&machine) == 0) {
        record.machine = machine.nodename;
    }
    const char* user = ::getenv("USER"); // NOLINT(concurrency-mt-unsafe): nobody writes it
    record.user = user == nullptr ? std::to_string(::getuid()) : user;
    std::error_code ignored;
    record.folder = fs::current_path(ignored).string();
    record.argv = argv;
    return record;
}

std::string summary(const model::Manifest& manifest)
{
    std::size_t sources = 0;
    for (const auto& file : manifest.files) {
        const bool of_project =
            file.state != model::FileState::system && file.state != model::FileState::generated;
        sources += of_project ? 1 : 0;
    }
    return fmt::format("{}, {} from {} ({} in all){}",
                       counted(manifest.steps.size(), "step"),
                       counted(manifest.artifacts.size(), "artifact"),
                       counted(sources, "source"),
                       counted(manifest.files.size(), "file"),
                       manifest.complete() ? "" : ", " + counted(manifest.holes.size(), "hole"));
}

/// Everything after the build. Whatever fails here is said, and the build's exit stays its own.
class Record {
public:
    Record(Context& context, const fs::path& journal, const Args& args)
        : context_(context), journal_(journal), args_(args)
    {
    }

    /// returns  false: it has holes, artifacts of unknown origin, or is not where it should be
    bool make()
    {
        attempt([&] { open_store(); });
        std::optional<model::Manifest> manifest;
        attempt([&] { manifest = hooks::collate_journal(journal_.string(), options_); });
        if (!manifest) {
            tell_where();
            return false;
        }
        for (const auto& hole : manifest->holes) {
            context_.log().warning(
                "not seen: {}: {}", printable(hole.program), printable(hole.reason));
        }
        keep(*manifest);
        const auto unknown = hooks::unrecorded(*manifest);
        for (const auto* artifact : unknown) {
            context_.log().warning("unrecorded: {} was made before anything watched",
                                   printable(manifest->files[artifact->file].path));
        }
        return problem_.empty() && unknown.empty() && manifest->complete();
    }

private:
    /// The first thing that fails is what is said.
    template <typename Action>
    bool attempt(const Action& action)
    {
        try {
            action();
            return true;
        } catch (const Error& error) {
            problem_ = problem_.empty() ? error.one_line() : problem_;
            return false;
        }
    }

    void open_store()
    {
        options_.name = args_.value_or("name", "");
        options_.cache = (context_.make_state_folder("cache") / "system-files").string();
        auto& store = context_.store(lineage::Store::Mode::write);
        options_.history = [&store](const Digest& content) {
            return store.manifest_that_made(content);
        };
        store_ = &store;
    }

    /// In the file that was asked for and in the store: neither waits for the other.
    void keep(const model::Manifest& manifest)
    {
        const Json json = model::to_json(manifest);
        const auto out = args_.value("out");
        const bool written = out && attempt([&] { write_file(*out, canonical_json(json) + "\n"); });
        const bool recorded = store_ != nullptr && attempt([&] {
                                  model::EventDraft draft;
                                  draft.at = manifest.run.finished;
                                  draft.kind = "build.recorded";
                                  draft.body = Json{{"manifest", json}};
                                  store_->record(draft);
                              });
        if (recorded) {
            context_.log().info("recorded build {}: {}", manifest.run.id, summary(manifest));
            if (!problem_.empty()) {
                context_.log().warning("the manifest is in the store only: {}", problem_);
            }
            if (!args_.has("keep-journal")) {
                std::error_code ignored;
                fs::remove(journal_, ignored);
            }
            return;
        }
        tell_where();
        if (written) {
            context_.log().warning("the manifest is in {}; `stemma ingest` takes it too", *out);
        }
    }

    void tell_where()
    {
        context_.log().warning("the build ran, and was not recorded: {}", problem_);
        context_.log().warning("its journal is {}; `stemma ingest` takes it", journal_.string());
    }

    Context& context_;
    const fs::path& journal_;
    const Args& args_;
    hooks::CollateOptions options_;
    lineage::Store* store_ = nullptr;
    std::string problem_;
};

int run_build(Context& context, const Args& args)
{
    if (args.rest().empty()) {
        throw Error(ErrorCode::usage,
                    "no command to run",
                    "put it behind two dashes: stemma build -- make");
    }
    const auto backend = hooks::backend_from(args.value_or("observe", "auto"));
    if (!backend) {
        throw Error(ErrorCode::usage, "--observe takes auto, notify, preload or none");
    }
    hooks::Observation observation;
    observation.argv = args.rest();
    observation.session = describe(context, args.rest());
    observation.backend = *backend;
    const fs::path journal =
        args.value("keep-journal")
            ? fs::path(*args.value("keep-journal"))
            : journal_folder(context) / fmt::format("{}.journal", observation.session.id);
    observation.journal = journal.string();
    const auto exit = hooks::observe(std::move(observation));
    if (exit.start_error != 0) {
        std::error_code ignored;
        fs::remove(journal, ignored);
        context.log().write(LogLevel::error,
                            fmt::format("cannot run {}: {}",
                                        args.rest().front(),
                                        std::generic_category().message(exit.start_error)));
        return exit.start_error == ENOENT ? 127 : 126; // as a shell, env and nice say it
    }
    if (!exit.recorded) {
        context.log().warning("the journal {} could not be written in full", journal.string());
    }
    const bool whole = Record(context, journal, args).make();
    const ExitStatus status{exit.code, exit.signal};
    if (status.success() && !whole && args.has("strict")) {
        context.log().warning("--strict: the record is not complete");
        return exit_incomplete;
    }
    leave_like(status);
}

} // namespace

std::vector<Command> build_commands()
{
    std::vector<Command> commands = {
        {.name = "build",
         .summary = "run any build under observation and record what went into what",
         .synopsis = "[--name N] [--out FILE] -- COMMAND…",
         .description =
             "Runs COMMAND and watches every process that it starts: what each tool reads, writes, "
             "renames and runs. At the end a manifest is made of it (each artifact, the step that "
             "made it, its inputs by content and git blob) and taken into the lineage store.\n\n"
             "The build keeps its outputs, its terminal, its signals and its exit; nothing that "
             "goes wrong with the recording changes it. What could not be seen is listed as holes "
             "of the manifest and warned about.",
         .options = {{"name", "NAME", "name of the project; default: its root folder's"},
                     {"out", "FILE", "write the manifest to FILE as well"},
                     {"observe",
                      "HOW",
                      "auto, notify (seccomp), preload (a library in every program) or none; "
                      "default: $STEMMA_OBSERVE, else auto"},
                     {"strict",
                      "",
                      "exit 4 when the record of a good build has holes, artifacts of unknown "
                      "origin, or no place"},
                     {"keep-journal", "FILE", "write the raw journal to FILE and keep it"}},
         .examples = {{"stemma build -- make -j8", "Build with make, and record it."},
                      {"stemma build --name shop --out shop.json -- cmake --build build",
                       "Name the project, and keep the manifest in a file too."}},
         .exits = "COMMAND's exit status, or its signal; 127 when there is no such command, 126 "
                  "when it cannot "
                  "be run; 4 with --strict when something was not seen",
         .run = run_build,
         .rest_is_command = true},
    };
    for (auto* group : {manifest_commands, pack_commands}) {
        for (auto& command : group()) {
            commands.push_back(std::move(command));
        }
    }
    return commands;
}

} // namespace stemma::cli
