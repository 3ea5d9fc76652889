#include "release_run.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "compare_check.hpp"
#include "release_status.hpp"

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
        if (vm.action == Action::retire && !vm.replaced) {
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

/// waits  between groups of VMs, as long as the release is paused
deployer::ApplyResult run_plan(
    Context& context, const FleetView& view, const Release& release, const Plan& plan, bool waits)
{
    auto checks = verifier_for(context, release);
    PeerVerifier comparing(
        context, checks, release.verify.compare.value_or(deployer::CompareCheck{}));
    deployer::Verifier& verifier =
        release.verify.compare ? static_cast<deployer::Verifier&>(comparing) : checks;
    deployer::Applier applier(
        {.hosts = view.fleet->hosts(),
         .recorder = context.store(lineage::Store::Mode::write),
         .clock = context.clock(),
         .log = context.log(),
         .progress = context.progress(),
         .cancel = context.cancel(),
         .paused =
             [&context, &release, waits] { return waits && is_paused(context, release.name); }},
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

/// Names of the VMs with this action, with the reasons.
std::string names_of(const Plan& plan, Action action)
{
    std::string names;
    for (const auto& vm : plan.vms) {
        if (vm.action == action) {
            names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", vm.spec.name, vm.reason);
        }
    }
    return names;
}

/// The way back, in the release's own story; its steps follow, or precede, as of every rollout.
void record_rollback(Context& context,
                     const Release& target,
                     std::string_view phase,
                     const std::string& detail)
{
    record(context,
           "release.step",
           {{"release", target.name},
            {"version", target.version},
            {"step", "rollback"},
            {"subject", target.name},
            {"phase", phase},
            {"detail", json_text(detail)},
            {"run", nullptr}});
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
    release.rollout.deadline = std::chrono::seconds(0);
    context.log().warning("release {}: going back to {}",
                          failed.name,
                          target.version.empty() ? target.file_digest.substr(0, 12)
                                                 : "version " + target.version);
    record_rollback(context, release, "begin", failed.version);
    const auto world = look_again(context, *view.fleet, failed.name);
    const auto plan = deployer::make_plan_to(release, target.specs, world);
    const auto result = run_plan(context, view, release, plan, false);
    if (!result.ok || plan.is_blocked()) {
        const auto missing = names_of(plan, Action::blocked);
        record_rollback(context, release, "failed", missing);
        throw Error(ErrorCode::remote,
                    missing.empty() ? std::string("the way back failed too")
                                    : "the way back is not complete: " + missing,
                    "`stemma release status " + failed.name + "` shows where every VM is");
    }
    record_rollback(context, release, "done", "");
    context.log().warning("release {}: rolled back", failed.name);
}

} // namespace

void write_saved_plan(const std::string& path,
                      const deployer::ReleaseSources& sources,
                      const Plan& plan)
{
    auto json = to_json(plan);
    json["release_files"] = Json::array();
    for (const auto& file : sources.files) {
        json["release_files"].push_back(std::filesystem::absolute(file).string());
    }
    json["set"] = Json::object();
    for (const auto& [name, value] : sources.set) {
        json["set"][name] = json_text(value);
    }
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
            SavedPlan saved{.sources = {}, .plan = deployer::plan_from_json(json)};
            for (const auto& file : array_member(json, "release_files")) {
                saved.sources.files.emplace_back(text_of(file, "release_files"));
            }
            for (const auto& [name, value] : member(json, "set").items()) {
                saved.sources.set[name] = text_of(value, "set");
            }
            if (saved.sources.files.empty()) {
                throw Error(ErrorCode::corrupt, "a plan without a release file");
            }
            return saved;
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

namespace {

/// Whoever reads the log later has to know on whose word VMs were made elsewhere.
void record_fenced(Context& context, const std::vector<std::string>& hosts)
{
    for (const auto& host : hosts) {
        record(context,
               "host.state",
               {{"name", host}, {"state", "down"}, {"reason", "fenced, as --i-fenced says"}});
    }
}

/// Keeps deployers with other stores away while hosts are changed.
/// throws  conflict: one is at work, or was just now
std::vector<std::unique_ptr<deployer::Lease>> take_leases(Context& context,
                                                          const FleetView& view,
                                                          const Plan& plan,
                                                          const std::vector<std::string>& fenced)
{
    if (!plan.changes()) {
        return {};
    }
    auto leases = view.fleet->lease(plan.release);
    if (!leases.empty()) {
        auto now = look_again(context, *view.fleet, plan.release);
        deployer::fence(now, fenced);
        if (!deployer::still_holds(plan, view.world, now)) {
            throw Error(ErrorCode::conflict,
                        "VMs of release " + plan.release + " changed while this was planned",
                        "run the same command again");
        }
    }
    return leases;
}

/// Those that an earlier run condemned, whose host still does not answer; false: there are none.
bool warn_of_condemned(Context& context, const FleetView& view, const std::string& release)
{
    bool any = false;
    for (const auto& [uuid, vm] : view.world.recorded) {
        const auto host =
            std::ranges::find(view.world.hosts, vm.host, &deployer::ObservedHost::name);
        if (vm.release == release && vm.state == deployer::condemned_state &&
            host != view.world.hosts.end() && !host->reachable) {
            any = true;
            context.log().warning(
                "{} is removed when its host {} is back: {}", vm.name, vm.host, host->error);
        }
    }
    return any;
}

} // namespace

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
    const auto leases = take_leases(context, view, plan, options.fenced);
    record_fenced(context, options.fenced);
    const auto result = run_plan(context, view, release, plan, options.waits_when_paused);
    if (result.ok && options.retires_release) {
        record(context,
               "release.retired",
               {{"release", release.name}, {"condemned", result.condemned}});
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
    const bool waits = warn_of_condemned(context, view, release.name) && options.retires_release;
    return !result.ok ? 1 : result.condemned.empty() && !waits ? 0 : 4;
}

bool repair_release(Context& context, const std::string& name)
{
    const auto applied = deployer::applied_releases(context.store().release_events(name));
    if (applied.empty() || is_paused(context, name)) {
        return true;
    }
    const auto locks = lock_release(context, name);
    const auto view = view_fleet(context, name);
    const auto release = release_of(name, applied.back());
    auto plan = deployer::make_plan_to(release, applied.back().specs, view.world);
    std::erase_if(plan.vms, [](const deployer::PlannedVm& vm) {
        return vm.action == Action::retire || vm.action == Action::blocked;
    });
    for (auto& vm : plan.vms) {
        vm.leftovers.clear();
    }
    require_images(view, plan);
    const auto leases = take_leases(context, view, plan, {});
    return run_plan(context, view, release, plan, false).ok;
}

} // namespace stemma::cli
