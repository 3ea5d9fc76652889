#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "deploy_support.hpp"
#include "groups.hpp"
#include "release_run.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;
using deployer::Plan;
using deployer::Release;

/// The release's name: the word itself, or what the file of that name says.
std::string release_name(const std::string& word)
{
    auto name = word.starts_with("release:") ? word.substr(8) : word;
    if (name.ends_with(".yaml") || name.ends_with(".yml")) {
        return deployer::load_release(name).name;
    }
    return name;
}

int run_plan(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "FILE");
    const auto release = deployer::load_release(words[0]);
    const auto view = view_fleet(context, release.name);
    const auto plan = deployer::make_plan(release, resolve(context, release), view.world);
    if (const auto out = args.value("out")) {
        write_saved_plan(*out, words[0], plan);
    }
    show_plan(context, plan);
    if (plan.is_blocked()) {
        return 1;
    }
    return args.has("detailed-exitcode") && plan.changes() ? 3 : 0;
}

int run_apply(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "FILE|PLAN");
    const auto saved = read_saved_plan(words[0]);
    const auto release = deployer::load_release(saved ? saved->release_file : words[0]);
    const auto locks = lock_release(context, release.name);
    const auto view = view_fleet(context, release.name);
    const auto plan = deployer::make_plan(release, resolve(context, release), view.world);
    if (saved && to_json(saved->plan) != to_json(plan)) {
        throw Error(ErrorCode::conflict,
                    "the world is not any more what this plan was made for",
                    "make a new one: `stemma release plan " + saved->release_file + " -o " +
                        words[0] + "`");
    }
    return carry_out(
        context, view, release, plan, {.dry_run = args.has("dry-run"), .yes = args.has("yes")});
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

/// The last word on every VM of a release.
Json status_items(Context& context, const std::string& name)
{
    std::map<std::string, Json> last;
    for (const auto& event : context.store().release_events(name)) {
        if (event.kind == "release.step") {
            auto body = event.body;
            body["at"] = format_time(event.at);
            const auto subject = body.value("subject", std::string());
            last[subject] = std::move(body);
        }
    }
    Json items = Json::array();
    for (const auto& vm : context.store().vms()) {
        if (vm.release != name) {
            continue;
        }
        const auto step = last[vm.name];
        items.push_back(
            {{"name", vm.name},
             {"host", vm.host},
             {"image", vm.image},
             {"state", vm.state},
             {"step", step.is_null() ? Json(nullptr) : step.value("step", Json())},
             {"phase", step.is_null() ? Json(nullptr) : step.value("phase", Json())},
             {"at", step.is_null() ? Json(nullptr) : step.value("at", Json())},
             {"detail", step.is_null() ? Json(nullptr) : step.value("detail", Json())}});
    }
    return items;
}

bool is_locked(Context& context, const std::string& name)
{
    try {
        (void)lock_release(context, name);
        return false;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::conflict) {
            throw;
        }
        return true;
    }
}

int run_status(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "NAME");
    const auto name = release_name(words[0]);
    const auto events = context.store().release_events(name);
    if (events.empty()) {
        throw Error(ErrorCode::not_found, "no release " + name + " is known");
    }
    const auto applied = deployer::applied_releases(events);
    Answer answer{
        .schema = "stemma.release/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    answer.items = status_items(context, name);
    const bool busy = is_locked(context, name);
    answer.extra["release"] = name;
    answer.extra["in_progress"] = busy;
    answer.extra["version"] = applied.empty() ? Json(nullptr) : Json(applied.back().version);
    answer.extra["applied"] =
        applied.empty() ? Json(nullptr) : Json(format_time(applied.back().at));
    if (context.format == Format::table) {
        context.out(fmt::format(
            "release {}: {}{}\n",
            name,
            applied.empty()
                ? "never applied to its end"
                : fmt::format("version {} in force since {}",
                              applied.back().version.empty() ? "(unnamed)" : applied.back().version,
                              format_time(applied.back().at)),
            busy ? "; a deployer is at work" : ""));
    }
    return show(context,
                answer,
                {{.title = "VM", .member = "name"},
                 {.title = "HOST", .member = "host"},
                 {.title = "IMAGE", .member = "image", .style = Column::Style::digest},
                 {.title = "STATE", .member = "state"},
                 {.title = "LAST STEP", .member = "step"},
                 {.title = "PHASE", .member = "phase"},
                 {.title = "AT", .member = "at", .style = Column::Style::time}});
}

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
         .synopsis = "FILE [-o PLAN] [--detailed-exitcode]",
         .description =
             "Looks at the hosts, compares them with FILE and prints one line per VM: keep, "
             "verify, "
             "start, create, reimage, redefine, retire or blocked, with the reason. Changes "
             "nothing.\n\nA saved plan is carried out by `release apply PLAN` exactly as it is, or "
             "refused when anything moved in between.",
         .options = {{.name = "out", .value = "PLAN", .help = "save the plan", .letter = 'o'},
                     {.name = "detailed-exitcode",
                      .value = "",
                      .help = "exit 3 when there is something to do"}},
         .examples = {{"stemma release plan release.yaml", "What would happen?"},
                      {"stemma release plan release.yaml -o p.json && stemma release apply p.json",
                       "Apply what was reviewed."}},
         .exits = "1 something is blocked; 3 with --detailed-exitcode: there is something to do",
         .run = run_plan},
        {.name = "release apply",
         .summary = "make the hosts be as a release file says",
         .synopsis = "FILE|PLAN [--dry-run] [--yes]",
         .description =
             "Canaries first, then batches: base image proven, disks and domain made, VM started, "
             "and asked from inside whether it is what it should be. A bad VM stops the rollout "
             "and, unless the file says otherwise, everything goes back to what was applied "
             "before.\n\nEvery step is recorded. A run that was interrupted, at any point, is "
             "completed by the same command. Applying again what is in force changes nothing.",
         .options = {dry_run_option, yes_option},
         .examples = {{"stemma release apply release.yaml", "Roll out."},
                      {"stemma release apply release.yaml --dry-run", "Only look."}},
         .exits = "1 a VM is bad (and the release rolled back or stopped)",
         .run = run_apply},
        {.name = "release status",
         .summary = "show how far a release is",
         .synopsis = "NAME",
         .description = "What is in force, whether a deployer is at work, and the last step of "
                        "every VM, from the lineage; asks no host.",
         .options = {},
         .examples = {{"stemma release status shop", "From another terminal, while it runs."}},
         .exits = {},
         .run = run_status},
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
         .description = "Stops and removes every VM of the release with its system and data disks, "
                        "snapshots and managed saves. Images and the history stay.",
         .options = {dry_run_option, yes_option},
         .examples = {{"stemma release retire shop --yes", "All of it, without a question."}},
         .exits = {},
         .run = run_retire},
    };
}

} // namespace stemma::cli
