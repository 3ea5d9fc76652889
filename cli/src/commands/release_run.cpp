#include "release_run.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace stemma::cli {

namespace {

using deployer::Action;
using deployer::Plan;
using deployer::Release;

/// Asks on the terminal; without one the answer is no.
void require_consent(const Plan& plan, bool yes)
{
    std::string names;
    for (const auto& vm : plan.vms) {
        if (vm.action == Action::retire) {
            names += (names.empty() ? "" : ", ") + vm.spec.name;
        }
    }
    if (yes || names.empty()) {
        return;
    }
    const auto refuse = [&] {
        throw Error(ErrorCode::usage,
                    "this removes VMs with all their disks: " + names,
                    "say --yes if that is meant");
    };
    if (::isatty(STDIN_FILENO) == 0) {
        refuse();
    }
    const auto question = "remove " + names + " with all their disks? [y/N] ";
    write_all(STDERR_FILENO, question, "the terminal");
    std::array<char, 16> answer{};
    const auto got = ::read(STDIN_FILENO, answer.data(), answer.size());
    if (got < 1 || (answer[0] != 'y' && answer[0] != 'Y')) {
        refuse();
    }
}

void refuse_blocked(const Plan& plan)
{
    for (const auto& vm : plan.vms) {
        if (vm.action == Action::blocked) {
            throw Error(ErrorCode::conflict,
                        fmt::format("nothing was done: {}: {}", vm.spec.name, vm.reason),
                        "`stemma release plan` shows all that is in the way");
        }
    }
}

/// The checks of this release, with what the lineage knows of the images' content.
deployer::GuestVerifier verifier_for(Context& context, const Release& release)
{
    return {release.verify, [&context](const deployer::ImageRef& image, const std::string& path) {
                return context.store().image_content(image.digest, path);
            }};
}

deployer::ApplyResult
run_plan(Context& context, const FleetView& view, const Release& release, const Plan& plan)
{
    auto verifier = verifier_for(context, release);
    deployer::Applier applier({.hosts = view.fleet->hosts(),
                               .recorder = context.store(lineage::Store::Mode::write),
                               .clock = context.clock(),
                               .log = context.log(),
                               .progress = context.progress(),
                               .cancel = context.cancel()},
                              release.rollout,
                              verifier);
    return applier.apply(plan);
}

/// Keeps the record of what is in force true; an equal one is not repeated.
void record_applied(Context& context, const Release& release, const Plan& plan)
{
    const auto draft = deployer::applied_event(plan, release, context.clock().now());
    const auto events = context.store().release_events(release.name);
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
        if (event->kind == "release.applied") {
            if (event->body == draft.body) {
                return;
            }
            break;
        }
        if (event->kind == "release.retired") {
            break;
        }
    }
    (void)context.store(lineage::Store::Mode::write).record(draft);
}

Json result_json(const deployer::ApplyResult& result)
{
    Json items = Json::array();
    for (const auto& vm : result.vms) {
        items.push_back({{"action", to_string(vm.action)},
                         {"checks", to_json(vm.checks)},
                         {"error", vm.error.empty() ? Json(nullptr) : Json(vm.error)},
                         {"host", vm.host},
                         {"name", vm.name},
                         {"ok", vm.ok},
                         {"proof",
                          fmt::format("{} of {} checks",
                                      std::ranges::count_if(vm.checks, &deployer::CheckResult::ok),
                                      vm.checks.size())}});
    }
    return items;
}

void show_result(Context& context, const Release& release, const deployer::ApplyResult& result)
{
    Answer answer{
        .schema = "stemma.apply/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    answer.items = result_json(result);
    answer.extra["release"] = release.name;
    answer.extra["version"] = release.version;
    answer.extra["ok"] = result.ok;
    (void)show(context,
               answer,
               {{.title = "VM", .member = "name"},
                {.title = "HOST", .member = "host"},
                {.title = "DID", .member = "action"},
                {.title = "OK", .member = "ok"},
                {.title = "PROOF", .member = "proof"},
                {.title = "ERROR", .member = "error"}});
}

/// After a failed rollout: back to what was in force, where there is such a thing.
void roll_back(Context& context, const FleetView& view, const Release& failed)
{
    const auto applied = deployer::applied_releases(context.store().release_events(failed.name));
    if (failed.rollout.on_failure == deployer::Rollout::OnFailure::stop || applied.empty()) {
        context.log().warning("release {}: stopped{}",
                              failed.name,
                              applied.empty() ? "; there is nothing earlier to go back to"
                                              : ", as the file says");
        return;
    }
    const auto& target = applied.back();
    auto release = release_of(failed.name, target);
    release.rollout = failed.rollout;
    release.rollout.canary = 0;
    release.rollout.pause = std::chrono::seconds(0);
    context.log().warning("release {}: going back to {}",
                          failed.name,
                          target.version.empty() ? target.file_digest.substr(0, 12)
                                                 : "version " + target.version);
    const auto world = look_again(context, *view.fleet, failed.name);
    const auto plan = deployer::make_plan_to(release, target.specs, world);
    const auto result = run_plan(context, view, release, plan);
    if (!result.ok) {
        throw Error(ErrorCode::remote,
                    "the way back failed too",
                    "`stemma release status " + failed.name + "` shows where every VM is");
    }
    context.log().warning("release {}: rolled back", failed.name);
}

} // namespace

void write_saved_plan(const std::string& path, const std::string& release_file, const Plan& plan)
{
    auto json = to_json(plan);
    json["release_file"] = std::filesystem::absolute(release_file).string();
    write_file(path, json.dump(2) + "\n");
}

std::optional<SavedPlan> read_saved_plan(const std::string& path)
{
    const auto text = read_file(path, std::uint64_t{64} << 20U);
    if (!text.starts_with('{')) {
        return std::nullopt;
    }
    return doing(
        [&] {
            const auto json = parse_json(text, path);
            return SavedPlan{.release_file = string_member(json, "release_file"),
                             .plan = deployer::plan_from_json(json)};
        },
        "reading the plan {}",
        path);
}

void show_plan(Context& context, const Plan& plan)
{
    Answer answer{
        .schema = "stemma.plan/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    for (const auto& vm : plan.vms) {
        const auto& to = vm.spec.image.digest;
        answer.items.push_back(
            {{"action", to_string(vm.action)},
             {"from_image", vm.from_image.empty() ? Json(nullptr) : Json(vm.from_image)},
             {"host", vm.spec.host.empty() ? Json(nullptr) : Json(vm.spec.host)},
             {"image", to.empty() ? Json(nullptr) : Json(to)},
             {"leftovers", vm.leftovers},
             {"name", vm.spec.name},
             {"reason", vm.reason},
             {"uuid", vm.spec.uuid},
             {"wave", vm.action == Action::keep ? Json(nullptr) : Json(vm.wave + 1)}});
    }
    answer.extra["release"] = plan.release;
    answer.extra["version"] = plan.version;
    answer.extra["changes"] = plan.changes();
    (void)show(context,
               answer,
               {{.title = "VM", .member = "name"},
                {.title = "HOST", .member = "host"},
                {.title = "WAVE", .member = "wave", .align = Column::Align::right},
                {.title = "ACTION", .member = "action"},
                {.title = "FROM", .member = "from_image", .style = Column::Style::digest},
                {.title = "TO", .member = "image", .style = Column::Style::digest},
                {.title = "REASON", .member = "reason"}});
}

Release release_of(const std::string& name, const deployer::AppliedRelease& applied)
{
    Release release;
    release.name = name;
    release.version = applied.version;
    release.digest = Digest::from_hex(applied.file_digest).value_or(Digest{});
    release.verify = applied.verify;
    return release;
}

void require_images(const FleetView& view, const Plan& plan)
{
    for (const auto& vm : plan.vms) {
        const bool needs = vm.action == Action::create || vm.action == Action::reimage;
        auto* host = view.fleet->find(vm.spec.host);
        if (needs && host != nullptr && !host->can_provide(vm.spec)) {
            throw Error(ErrorCode::not_found,
                        fmt::format("nothing was done: image {} ({}) that {} would need is neither "
                                    "at {} nor on host {}",
                                    vm.spec.image.name,
                                    vm.spec.image.digest.substr(0, 12),
                                    vm.spec.name,
                                    vm.spec.image.path,
                                    vm.spec.host),
                        "import it again with `stemma image import`");
        }
    }
}

int carry_out(Context& context,
              const FleetView& view,
              const Release& release,
              const Plan& plan,
              const CarryOut& options)
{
    if (options.dry_run) {
        show_plan(context, plan);
        return plan.is_blocked() ? 1 : 0;
    }
    refuse_blocked(plan);
    require_consent(plan, options.yes);
    require_images(view, plan);
    const auto result = run_plan(context, view, release, plan);
    if (result.ok && options.retires_release) {
        record(context, "release.retired", {{"release", release.name}});
    } else if (result.ok) {
        record_applied(context, release, plan);
    }
    if (!plan.changes() && context.format == Format::table) {
        context.out(fmt::format(
            "nothing to do: all {} VMs of {} are as wanted\n", plan.vms.size(), release.name));
    } else {
        show_result(context, release, result);
    }
    if (!result.ok) {
        roll_back(context, view, release);
    }
    return result.ok ? 0 : 1;
}

} // namespace stemma::cli
