// How a release stands, and what holds it: nothing here touches a host.

#include "release_status.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include "deploy_support.hpp"

namespace stemma::cli {

namespace {

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
    const bool paused = is_paused(context, name);
    answer.extra["in_progress"] = busy;
    answer.extra["paused"] = paused;
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
            busy     ? "; a deployer is at work"
            : paused ? "; paused"
                     : ""));
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

int set_paused(Context& context, const Args& args, bool paused)
{
    const auto& words = args.expect_words(1, 1, "NAME");
    const auto name = release_name(words[0]);
    if (context.store().release_events(name).empty()) {
        throw Error(ErrorCode::not_found, "no release " + name + " is known");
    }
    if (is_paused(context, name) == paused) {
        return 0;
    }
    Json body = {{"release", name}};
    if (paused) {
        body["reason"] = json_text(args.value_or("reason", ""));
    }
    record(context, paused ? "release.paused" : "release.resumed", std::move(body));
    return 0;
}

int run_pause(Context& context, const Args& args)
{
    return set_paused(context, args, true);
}

int run_resume(Context& context, const Args& args)
{
    return set_paused(context, args, false);
}

int run_check(Context& context, const Args& args)
{
    deployer::ReleaseSources sources;
    for (const auto& word : args.expect_words(1, 100, "FILE…")) {
        sources.files.emplace_back(word);
    }
    const auto release = deployer::load_release(sources);
    Answer answer{.schema = "stemma.release-check/1", .as_of = {}, .seq = {}, .gaps = {}};
    for (const auto& vm : release.vms) {
        answer.items.push_back({{"name", vm.name},
                                {"image", vm.image},
                                {"host", vm.host.empty() ? Json(nullptr) : Json(vm.host)},
                                {"memory_mib", vm.memory_mib},
                                {"vcpus", vm.vcpus}});
    }
    answer.extra["release"] = release.name;
    answer.extra["version"] = release.version;
    return show(context,
                answer,
                {{.title = "VM", .member = "name"},
                 {.title = "IMAGE", .member = "image"},
                 {.title = "HOST", .member = "host"},
                 {.title = "MIB", .member = "memory_mib", .align = Column::Align::right},
                 {.title = "VCPUS", .member = "vcpus", .align = Column::Align::right}});
}

} // namespace

std::string release_name(const std::string& word)
{
    auto name = word.starts_with("release:") ? word.substr(8) : word;
    if (name.ends_with(".yaml") || name.ends_with(".yml")) {
        return deployer::load_release(name).name;
    }
    return name;
}

bool is_paused(Context& context, const std::string& release)
{
    bool paused = false;
    for (const auto& event : context.store().release_events(release)) {
        if (event.kind == "release.paused") {
            paused = true;
        } else if (event.kind == "release.resumed") {
            paused = false;
        }
    }
    return paused;
}

void refuse_paused(Context& context, const std::string& release)
{
    if (is_paused(context, release)) {
        throw Error(ErrorCode::conflict,
                    "release " + release + " is paused",
                    "`stemma release resume " + release + "` lets it go on");
    }
}

Command release_status_command()
{
    return {.name = "release status",
            .summary = "show how far a release is",
            .synopsis = "NAME",
            .description = "What is in force, whether a deployer is at work, and the last step of "
                           "every VM, from the lineage; asks no host.",
            .options = {},
            .examples = {{"stemma release status shop", "From another terminal, while it runs."}},
            .exits = {},
            .run = run_status};
}

Command release_pause_command()
{
    return {.name = "release pause",
            .summary = "let a rollout wait, and nothing be repaired",
            .synopsis = "NAME [--reason TEXT]",
            .description =
                "A deployer at work finishes the VMs that it has begun with and then waits; a new "
                "`release apply` is refused; `watch --repair` leaves the release alone. A rollback "
                "and a retirement go on.",
            .options = {{.name = "reason", .value = "TEXT", .help = "for the record"}},
            .examples = {{"stemma release pause shop --reason 'traffic peak'", "Not now."}},
            .exits = {},
            .run = run_pause};
}

Command release_resume_command()
{
    return {.name = "release resume",
            .summary = "let a paused release go on",
            .synopsis = "NAME",
            .description = "A deployer that waits goes on; without one, apply the file again.",
            .options = {},
            .examples = {{"stemma release resume shop", "Go on."}},
            .exits = {},
            .run = run_resume};
}

Command release_check_command()
{
    return {.name = "release check",
            .summary = "read a release file, and ask nobody",
            .synopsis = "FILE [OVERLAY…]",
            .description =
                "Says what is wrong with the file, with line, column and the nearest name; else "
                "lists its VMs. Looks at no store, no image and no host. Editors check while one "
                "writes with share/stemma/release.schema.json.",
            .options = {},
            .examples = {{"stemma release check base.yaml prod.yaml", "Both as one."}},
            .exits = "2 the file is wrong",
            .run = run_check};
}

} // namespace stemma::cli
