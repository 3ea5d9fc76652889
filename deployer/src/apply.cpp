#include "stemma/deployer/apply.hpp"

#include "stemma/core/uuid.hpp"
#include "stemma/deployer/decommission.hpp"

#include <algorithm>
#include <thread>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto check_pause = 500ms;
/// How long a helper is waited for before its VM is looked at again.
constexpr auto boot_round = 10s;
/// How often a paused rollout looks whether it may go on.
constexpr auto pause_round = 500ms;

bool all_good(const std::vector<CheckResult>& checks)
{
    return std::ranges::all_of(checks, &CheckResult::ok);
}

std::string failed_names(const std::vector<CheckResult>& checks)
{
    std::string names;
    for (const auto& check : checks) {
        if (!check.ok) {
            names += fmt::format("{}{}: expected {}, got {}",
                                 names.empty() ? "" : "; ",
                                 check.name,
                                 check.expected,
                                 check.actual);
        }
    }
    return names;
}

ObservedVm seen_as(const VmSpec& spec)
{
    ObservedVm vm;
    vm.uuid = spec.uuid;
    vm.name = spec.name;
    vm.release = spec.release;
    return vm;
}

} // namespace

Applier::Applier(World world, Rollout rollout, Verifier& verifier)
    : world_(std::move(world)), rollout_(rollout), verifier_(verifier)
{
}

Hypervisor& Applier::host_of(const PlannedVm& vm)
{
    const auto found = world_.hosts.find(vm.spec.host);
    if (found == world_.hosts.end()) {
        throw Error(ErrorCode::not_found, "no connection to host " + vm.spec.host);
    }
    return *found->second;
}

void Applier::record(const std::string& kind, Json body)
{
    (void)world_.recorder.record({.at = world_.clock.now(), .kind = kind, .body = std::move(body)});
}

void Applier::record_state(const PlannedVm& vm, std::string_view state, std::string_view reason)
{
    record("vm.state",
           {{"uuid", vm.spec.uuid},
            {"name", vm.spec.name},
            {"host", vm.spec.host},
            {"state", state},
            {"reason", reason}});
}

template <typename Work>
void Applier::step(const PlannedVm& vm, std::string_view word, Work&& work)
{
    world_.cancel.check();
    const auto say = [&](std::string_view phase, const std::string& detail) {
        record("release.step",
               {{"release", release_},
                {"version", version_},
                {"step", word},
                {"subject", vm.spec.name},
                {"uuid", vm.spec.uuid},
                {"spec", vm.action == Action::retire ? "" : spec_digest(vm.spec)},
                {"checks", checks_},
                {"phase", phase},
                {"detail", json_text(detail)},
                {"run", run_}});
    };
    world_.log.debug("{}: {}", vm.spec.name, word);
    say("begin", "");
    try {
        work();
    } catch (const Error& error) {
        say("failed", error.one_line());
        throw;
    }
    say("done", "");
}

void Applier::prepare(const PlannedVm& vm)
{
    auto& host = host_of(vm);
    const auto& spec = vm.spec;
    const bool makes = vm.action == Action::create || vm.action == Action::reimage ||
                       vm.action == Action::redefine;
    // Before every start the base is proven, also for a VM that only lies still.
    if (makes || vm.action == Action::start) {
        step(vm, "image", [&] { host.provide_image(spec); });
    }
    if (makes) {
        if (vm.action != Action::create) {
            step(vm, "stop", [&] { host.stop(spec.uuid, rollout_.stop_timeout); });
            record_state(vm, "stopped", vm.action == Action::reimage ? "re-imaging" : "redefining");
        }
        step(vm, "disks", [&] { host.make_disks(spec); });
        step(vm, "define", [&] { host.define(spec); });
    }
    if (makes || vm.action == Action::start) {
        step(vm, "start", [&] { host.start(spec.uuid); });
    }
    record("vm.deployed",
           {{"uuid", spec.uuid},
            {"name", spec.name},
            {"host", spec.host},
            {"image", spec.image.digest},
            {"release", release_}});
    record_state(vm, "running", to_string(vm.action));
}

void Applier::wait(std::chrono::milliseconds time) const
{
    const auto end = steady_clock::now() + time;
    while (steady_clock::now() < end) {
        world_.cancel.check();
        std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(time, 100ms));
    }
}

std::unique_ptr<GuestPort> Applier::wait_for_guest(Hypervisor& host, const VmSpec& spec) const
{
    // In rounds, so that a VM that stopped meanwhile is not waited for.
    const auto deadline = steady_clock::now() + rollout_.boot_timeout;
    while (true) {
        try {
            return host.guest(
                seen_as(spec),
                std::min<std::chrono::milliseconds>(rollout_.boot_timeout, boot_round));
        } catch (const Error& error) {
            const auto seen = host.look(spec.uuid);
            if (seen && seen->state != "running") {
                throw Error(ErrorCode::remote,
                            fmt::format("{} stopped before its helper answered ({})",
                                        spec.name,
                                        seen->reason),
                            "its console: " + host.console(spec));
            }
            const bool silent = error.code() == ErrorCode::remote;
            if (!seen || !silent || steady_clock::now() >= deadline) {
                throw;
            }
        }
    }
}

std::vector<CheckResult> Applier::check_until_good(const PlannedVm& vm)
{
    auto& host = host_of(vm);
    const auto guest = wait_for_guest(host, vm.spec);
    const auto deadline = steady_clock::now() + rollout_.check_timeout;
    while (true) {
        auto checks = verifier_.verify(vm.spec, *guest);
        if (all_good(checks) || steady_clock::now() > deadline) {
            return checks;
        }
        wait(check_pause);
    }
}

void Applier::prove(const PlannedVm& vm, VmResult& result)
{
    step(vm, "verify", [&] {
        result.checks = check_until_good(vm);
        result.ok = all_good(result.checks);
        record("vm.verified",
               {{"uuid", vm.spec.uuid},
                {"name", vm.spec.name},
                {"host", vm.spec.host},
                {"image", vm.spec.image.digest},
                {"ok", result.ok},
                {"checks", to_json(result.checks)}});
        if (!result.ok) {
            throw Error(ErrorCode::remote,
                        vm.spec.name + " is not as it should be: " + failed_names(result.checks));
        }
    });
}

void Applier::retire(const PlannedVm& vm)
{
    auto& host = host_of(vm);
    step(vm, "retire", [&] {
        (void)decommission(host, vm.spec.uuid, vm.spec.name, rollout_.stop_timeout);
    });
    record("vm.retired", {{"uuid", vm.spec.uuid}, {"name", vm.spec.name}, {"reason", vm.reason}});
}

void Applier::condemn(const PlannedVm& vm, const std::string& why)
{
    record_state(vm, condemned_state, vm.reason);
    world_.log.warning(
        "{} on {}: {}; it is removed when the host is back", vm.spec.name, vm.spec.host, why);
}

void Applier::remove_leftovers(const PlannedVm& vm)
{
    if (vm.leftovers.empty()) {
        return;
    }
    auto& host = host_of(vm);
    step(vm, "collect", [&] {
        for (const auto& path : vm.leftovers) {
            host.remove_disk(path);
        }
    });
}

/// Runs `work` on one VM; a failure is the VM's result and not the end of the others.
template <typename Work>
static void attempt(VmResult& result, Log& log, Work&& work)
{
    try {
        work();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        result.ok = false;
        result.error = error.one_line();
        log.warning("{}: {}", result.name, result.error);
    }
}

bool Applier::apply_group(const std::vector<const PlannedVm*>& group,
                          Activity& activity,
                          ApplyResult& result)
{
    std::vector<VmResult> outcomes;
    // All are started before any is waited for: their boots overlap.
    for (const auto* vm : group) {
        activity.detail(vm->spec.name);
        outcomes.push_back({.name = vm->spec.name, .host = vm->spec.host, .action = vm->action});
        attempt(outcomes.back(), world_.log, [&] { prepare(*vm); });
        activity.advance();
    }
    bool good = true;
    for (std::size_t i = 0; i < group.size(); ++i) {
        auto& outcome = outcomes[i];
        activity.detail(outcome.name);
        if (outcome.ok) {
            attempt(outcome, world_.log, [&] { prove(*group[i], outcome); });
        }
        activity.advance();
        if (outcome.ok) {
            world_.log.info("{} on {}: {}, {} checks hold",
                            outcome.name,
                            outcome.host,
                            to_string(outcome.action),
                            outcome.checks.size());
        }
        good = good && outcome.ok;
        result.vms.push_back(std::move(outcome));
    }
    return good;
}

void Applier::wait_while_paused()
{
    bool said = false;
    while (world_.paused && world_.paused()) {
        if (!said) {
            said = true;
            world_.log.warning(
                "release {}: paused; `stemma release resume {}` lets it go on", release_, release_);
        }
        wait(pause_round);
    }
}

bool Applier::is_too_late() const
{
    return rollout_.deadline.count() != 0 && steady_clock::now() > started_ + rollout_.deadline;
}

bool Applier::apply_wave(const Plan& plan, std::size_t wave, ApplyResult& result)
{
    const auto groups = groups_of_wave(plan, wave, rollout_.max_unavailable);
    std::size_t members = 0;
    for (const auto& group : groups) {
        members += group.size();
    }
    Activity activity(world_.progress,
                      wave == 0 ? "deploying the first wave"
                                : fmt::format("deploying wave {}", wave + 1),
                      members * 2,
                      "steps");
    for (const auto& group : groups) {
        wait_while_paused();
        if (is_too_late()) {
            const auto& vm = *group.front();
            result.vms.push_back({.name = vm.spec.name,
                                  .host = vm.spec.host,
                                  .action = vm.action,
                                  .ok = false,
                                  .error = "not begun: the rollout's deadline is over"});
            return false;
        }
        if (!apply_group(group, activity, result)) {
            return false;
        }
    }
    return true;
}

void Applier::finish(const Plan& plan, ApplyResult& result)
{
    for (const auto& vm : plan.vms) {
        VmResult outcome{.name = vm.spec.name, .host = vm.spec.host, .action = vm.action};
        attempt(outcome, world_.log, [&] {
            if (vm.action == Action::retire && !world_.hosts.contains(vm.spec.host)) {
                condemn(vm, "its host cannot be reached");
                result.condemned.push_back(vm.spec.name);
            } else if (vm.action == Action::retire) {
                retire(vm);
            } else if (vm.action != Action::blocked) {
                remove_leftovers(vm);
            }
        });
        if (vm.action == Action::retire || !outcome.ok) {
            result.ok = result.ok && outcome.ok;
            result.vms.push_back(std::move(outcome));
        }
    }
}

ApplyResult Applier::apply(const Plan& plan)
{
    run_ = make_uuid7(world_.clock.now());
    release_ = plan.release;
    version_ = plan.version;
    checks_ = plan.checks_digest;
    started_ = steady_clock::now();
    ApplyResult result;
    for (std::size_t wave = 0; wave < plan.waves; ++wave) {
        if (wave != 0) {
            wait(rollout_.pause);
        }
        if (!apply_wave(plan, wave, result)) {
            result.ok = false;
            return result;
        }
    }
    finish(plan, result);
    return result;
}

} // namespace stemma::deployer
