#include "stemma/cli/help.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/cli/settings.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/store.hpp"

#include "groups.hpp"

namespace stemma::cli {

int run_doctor(Context& context, const Args& args); // doctor.cpp

namespace {

namespace fs = std::filesystem;

/// A team's ledger is what the folder's store is from now on; an address with a password is not
/// written down.
std::string settings_for(const Context& context)
{
    auto text = settings_template();
    constexpr std::string_view usual = "# store: .stemma/lineage.db";
    const auto at = text.find(usual);
    const bool is_public = lineage::shown_store(context.store_url) == context.store_url;
    if (context.is_team_ledger() && is_public && at != std::string::npos) {
        text.replace(at, usual.size(), "store: " + canonical_json(context.store_url));
    }
    return text;
}

int run_init(Context& context, const Args& args)
{
    const auto& words = args.expect_words(0, 1, "[FOLDER]");
    const fs::path folder = words.empty() ? fs::path(".") : fs::path(words[0]);
    const auto settings = folder / "stemma.yaml";
    const auto inner = folder / ".stemma";
    std::error_code failure;
    const bool made = fs::create_directories(inner, failure);
    if (failure) {
        throw system_error(failure.value(), fmt::format("make the folder {}", inner.string()));
    }
    if (!fs::exists(inner / ".gitignore")) {
        write_file(inner / ".gitignore", "*\n");
    }
    if (!fs::exists(settings)) {
        write_file(settings, settings_for(context));
        context.log().info("wrote {}", settings.string());
        if (!context.is_team_ledger()) {
            // These settings name no other store: one that is empty answers, one that is missing
            // is an error.
            lineage::Store::open((inner / "lineage.db").string(),
                                 lineage::Store::Mode::write,
                                 context.clock(),
                                 context.log());
        }
    }
    context.log().info("{} {}", made ? "made" : "already there:", inner.string());
    if (context.is_team_ledger()) {
        (void)context.store(lineage::Store::Mode::write); // makes it, or finds it
        context.log().info("the ledger in {} is there", lineage::shown_store(context.store_url));
    }
    context.log().info("next: stemma build -- make    (or whatever builds your project)");
    return 0;
}

int run_completion(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "bash, zsh or fish");
    context.out(completion_script(all_commands(), words[0]));
    return 0;
}

} // namespace

std::vector<Command> general_commands()
{
    return {
        {.name = "init",
         .summary = "make .stemma/ and a commented stemma.yaml here",
         .synopsis = "[FOLDER]",
         .description =
             "Makes the folder .stemma/, which holds the lineage store and the images "
             "of everything below FOLDER (default: this one), and a commented "
             "stemma.yaml beside it. Changes nothing that is already there. Where the store is "
             "a PostgreSQL database, the ledger's tables are made there.",
         .options = {},
         .examples = {{"stemma init", "Start a lineage in this folder."},
                      {"stemma --store postgresql://db.example/lineage init",
                       "Start the ledger of a team, in a database that is there."}},
         .exits = {},
         .run = run_init},
        {.name = "doctor",
         .summary = "check the installation: what is missing, what it costs, what mends it",
         .synopsis = "",
         .description =
             "Looks at the programs, the lineage store, the hypervisor and the space that Stemma "
             "needs. Every line that is not ok says what does not work without it and the command "
             "that mends it. Changes nothing.",
         .options = {},
         .examples = {{"stemma doctor", "Check everything."},
                      {"stemma doctor --json | jq '.items[] | select(.state != \"ok\")'",
                       "Only what is wrong, for a script."}},
         .exits = "0 all is well, or only optional parts are missing; 1 a needed part is missing",
         .run = run_doctor},
        {.name = "completion",
         .summary = "print a completion script for a shell",
         .synopsis = "bash|zsh|fish",
         .description = "Prints a script that completes verbs, words and options. Load it with "
                        "`source <(stemma completion bash)`, or put it where your shell looks.",
         .options = {},
         .examples = {{"source <(stemma completion bash)", "Complete in this shell."}},
         .exits = {},
         .run = run_completion},
    };
}

} // namespace stemma::cli
