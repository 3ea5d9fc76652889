#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "deploy_support.hpp"
#include "groups.hpp"
#include "release_run.hpp"
#include "release_status.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;
using deployer::Plan;
using deployer::Release;

/// The file that is the command's word, and what -f lays over it; or -f alone.
deployer::ReleaseSources sources_of(const Args& args)
{
    const auto overlays = args.values("file");
    const auto& words = args.expect_words(overlays.empty() ? 1 : 0, 1, "FILE");
    deployer::ReleaseSources sources{.files = {words.begin(), words.end()}, .set = {}};
    sources.files.insert(sources.files.end(), overlays.begin(), overlays.end());
    for (const auto& setting : args.values("set")) {
        const auto equals = setting.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw Error(ErrorCode::usage, "--set " + printable(setting) + ": not NAME=VALUE");
        }
        sources.set[setting.substr(0, equals)] = setting.substr(equals + 1);
    }
    return sources;
}

int run_plan(Context& context, const Args& args)
{
    const auto sources = sources_of(args);
    const auto release = deployer::load_release(sources);
    const auto view = view_fleet(context, release.name, args.values("i-fenced"));
    const auto plan = deployer::make_plan(release, resolve(context, release), view.world);
    if (const auto out = args.value("out")) {
        write_saved_plan(*out, sources, plan);
    }
    show_plan(context, plan);
    if (plan.is_blocked()) {
        return 1;
    }
    return args.has("detailed-exitcode") && plan.changes() ? 3 : 0;
}

/// The plan that is the command's only word; nullopt when that is a release file.
std::optional<SavedPlan> saved_plan_of(const Args& args)
{
    const bool alone = args.words().size() == 1 && !args.has("file") && !args.has("set");
    return alone ? read_saved_plan(args.words().front()) : std::nullopt;
}

int run_apply(Context& context, const Args& args)
{
    const auto saved = saved_plan_of(args);
    const auto release = deployer::load_release(saved ? saved->sources : sources_of(args));
    const auto locks = lock_release(context, release.name);
    refuse_paused(context, release.name);
    const auto fenced = args.values("i-fenced");
    const auto view = view_fleet(context, release.name, fenced);
    const auto resolved = resolve(context, release);
    const auto plan = deployer::make_plan(release, resolved, view.world);
    if (saved && to_json(saved->plan) != to_json(plan)) {
        throw Error(ErrorCode::conflict,
                    "the world is not any more what this plan was made for",
                    "make a new one: `stemma release plan … -o " + args.words().front() + "`");
    }
    const bool dry_run = args.has("dry-run");
    if (!dry_run) {
        keep_seeds(context, release);
    }
    const int status = carry_out(
        context,
        view,
        release,
        plan,
        {.dry_run = dry_run, .yes = args.has("yes"), .waits_when_paused = true, .fenced = fenced});
    return status == 0 && dry_run && args.has("detailed-exitcode") && plan.changes() ? 3 : status;
}

int run_rollback(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "NAME");
    const auto name = release_name(words[0]);
    const auto applied = deployer::applied_releases(context.store().release_events(name));
    if (applied.empty()) {
        throw Error(ErrorCode::not_found, "release " + name + " was never applied");
    }
    const auto locks = lock_release(context, name);
    const auto view = view_fleet(context, name);
    // Out of a rollout that did not end: to what was in force. Else to what was before that.
    for (auto target = applied.rbegin(); target != applied.rend(); ++target) {
        const auto release = release_of(name, *target);
        const auto plan = deployer::make_plan_to(release, target->specs, view.world);
        const bool changes = std::ranges::any_of(plan.vms, [](const auto& vm) {
            return vm.action != deployer::Action::keep && vm.action != deployer::Action::verify &&
                   vm.action != deployer::Action::start;
        });
        if (changes) {
            require_images(view, plan);
            context.log().info("release {}: back to {} of {}",
                               name,
                               target->version.empty() ? target->file_digest.substr(0, 12)
                                                       : "version " + target->version,
                               format_time(target->at));
            return carry_out(context,
                             view,
                             release,
                             plan,
                             {.dry_run = args.has("dry-run"), .yes = args.has("yes")});
        }
    }
    throw Error(ErrorCode::not_found,
                "release " + name + " has nothing earlier to go back to",
                "`stemma release status " + name + "` shows what was applied");
}

int run_retire(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "NAME");
    Release release;
    release.name = release_name(words[0]);
    const auto locks = lock_release(context, release.name);
    const auto view = view_fleet(context, release.name);
    const auto plan = deployer::make_plan_to(release, {}, view.world);
    if (plan.vms.empty() && context.store().release_events(release.name).empty()) {
        throw Error(ErrorCode::not_found,
                    "no release " + release.name + " is known",
                    "`stemma vm list` shows the VMs and their releases");
    }
    const int status = carry_out(
        context,
        view,
        release,
        plan,
        {.dry_run = args.has("dry-run"), .yes = args.has("yes"), .retires_release = true});
    return status;
}

const Option file_option = {.name = "file",
                            .value = "FILE",
                            .help = "lay FILE over what stands before it",
                            .repeats = true,
                            .letter = 'f'};
const Option set_option = {.name = "set",
                           .value = "NAME=VALUE",
                           .help = "another value for one of the file's variables",
                           .repeats = true};
const Option fenced_option = {
    .name = "i-fenced",
    .value = "HOST",
    .help = "HOST does not answer, and I made sure that nothing runs on it (its power is off, its "
            "network is cut): its VMs are made elsewhere",
    .repeats = true};
const Option exitcode_option = {
    .name = "detailed-exitcode", .value = "", .help = "exit 3 when there is something to do"};
const Option dry_run_option = {
    .name = "dry-run", .value = "", .help = "show what would be done, and do nothing"};
const Option yes_option = {
    .name = "yes", .value = "", .help = "do not ask before VMs and their data are removed"};

} // namespace

std::vector<Command> release_commands()
{
    return {
        {.name = "release plan",
         .summary = "show what applying a release file would do",
         .synopsis = "FILE [-f OVERLAY]… [--set NAME=VALUE]… [-o PLAN] [--detailed-exitcode]",
         .description =
             "Looks at the hosts, compares them with FILE and prints one line per VM: keep, "
             "verify, "
             "start, create, reimage, redefine, retire or blocked, with the reason. Changes "
             "nothing.\n\nA saved plan is carried out by `release apply PLAN` exactly as it is, or "
             "refused when anything moved in between.",
         .options = {file_option,
                     set_option,
                     {.name = "out", .value = "PLAN", .help = "save the plan", .letter = 'o'},
                     fenced_option,
                     exitcode_option},
         .examples = {{"stemma release plan release.yaml", "What would happen?"},
                      {"stemma release plan -f base.yaml -f prod.yaml",
                       "The same release as production has it."},
                      {"stemma release plan release.yaml -o p.json && stemma release apply p.json",
                       "Apply what was reviewed."}},
         .exits = "1 something is blocked; 3 with --detailed-exitcode: there is something to do",
         .run = run_plan},
        {.name = "release apply",
         .summary = "make the hosts be as a release file says",
         .synopsis = "FILE|PLAN [-f OVERLAY]… [--set NAME=VALUE]… [--dry-run] [--yes]",
         .description =
             "Canaries first, then batches: base image proven, disks and domain made, VM started, "
             "and asked from inside whether it is what it should be. A bad VM stops the rollout "
             "and, unless the file says otherwise, everything goes back to what was applied "
             "before.\n\nEvery step is recorded. A run that was interrupted, at any point, is "
             "completed by the same command. Applying again what is in force changes nothing.\n\nA "
             "VM "
             "whose host does not answer may still run there, and is made nowhere else before "
             "--i-fenced says that it does not.",
         .options =
             {file_option, set_option, dry_run_option, fenced_option, exitcode_option, yes_option},
         .examples = {{"stemma release apply release.yaml", "Roll out."},
                      {"stemma release apply -f base.yaml -f prod.yaml --set count=8",
                       "With an overlay, and another value for a variable."},
                      {"stemma release apply release.yaml --i-fenced rack2",
                       "The host is dead: its VMs are made on others."},
                      {"stemma release apply release.yaml --dry-run", "Only look."}},
         .exits = "1 a VM is bad (and the release rolled back or stopped)",
         .run = run_apply},
        release_status_command(),
        {.name = "release rollback",
         .summary = "go back to what was applied before",
         .synopsis = "NAME [--dry-run] [--yes]",
         .description =
             "Out of a rollout that did not end, back to what was in force; else back to "
             "the release before that: the same image digests, data disks untouched. "
             "Refused before anything is changed when an image is gone.",
         .options = {dry_run_option, yes_option},
         .examples = {{"stemma release rollback shop", "The new version was a mistake."}},
         .exits = {},
         .run = run_rollback},
        {.name = "release retire",
         .summary = "take all VMs of a release down, with their disks",
         .synopsis = "NAME [--dry-run] [--yes]",
         .description =
             "Stops and removes every VM of the release with its system and data disks, "
             "snapshots and managed saves. Images and the history stay.\n\nVMs on hosts that "
             "cannot be reached become `condemned`: `stemma watch` removes them when "
             "their host is back, and so does this command when it is run again.",
         .options = {dry_run_option, yes_option},
         .examples = {{"stemma release retire shop --yes", "All of it, without a question."}},
         .exits = "4 a host cannot be reached: what it has is removed when it is back",
         .run = run_retire},
        release_pause_command(),
        release_resume_command(),
        release_unlock_command(),
        release_check_command(),
    };
}

} // namespace stemma::cli
