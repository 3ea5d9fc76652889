#include "stemma/deployer/plan.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>

#include "decide.hpp"
#include "placement.hpp"

namespace stemma::deployer {

namespace {

VmSpec spec_of(const Release& release, const VmWanted& vm, const Resolved& resolved)
{
    VmSpec spec;
    spec.uuid = vm_uuid(release.name, vm.name);
    spec.name = vm.name;
    spec.release = release.name;
    spec.image = resolved.images.at(vm.image);
    spec.memory_mib = vm.memory_mib;
    spec.vcpus = vm.vcpus;
    spec.network = vm.network;
    spec.networks = vm.networks;
    spec.system_disk_mib = vm.system_disk_mib;
    spec.data_disks = vm.data_disks;
    spec.helper = vm.helper;
    if (vm.cloud_init) {
        spec.seed = resolved.seeds.at(vm.name);
    }
    if (vm.boot) {
        const auto initrd = vm.boot->initrd.string();
        spec.boot = ResolvedBoot{.kernel = vm.boot->kernel.string(),
                                 .kernel_sha256 = resolved.files.at(vm.boot->kernel.string()),
                                 .initrd = initrd,
                                 .initrd_sha256 = initrd.empty() ? "" : resolved.files.at(initrd),
                                 .cmdline = vm.boot->cmdline};
    }
    return spec;
}

struct Unwanted {
    std::string uuid;
    std::string name;
    std::string host;
    std::string image; ///< that it runs from
};

PlannedVm retirement(const Plan& plan, const Unwanted& vm)
{
    PlannedVm planned;
    planned.action = Action::retire;
    planned.spec.uuid = vm.uuid;
    planned.spec.name = vm.name;
    planned.spec.host = vm.host;
    planned.spec.release = plan.release;
    planned.from_image = vm.image;
    planned.reason = "not in the release any more";
    planned.wave = plan.waves;
    return planned;
}

/// VMs of the release that are not wanted any more: those with its mark, and those that the lineage
/// has as live although their host has none (a retirement that was interrupted).
void add_retirements(Plan& plan, const World& world)
{
    std::set<std::string> known;
    for (const auto& vm : plan.vms) {
        known.insert(vm.spec.uuid);
    }
    for (const auto& host : world.hosts) {
        for (const auto& vm : host.vms) {
            if (vm.release == plan.release && known.insert(vm.uuid).second) {
                plan.vms.push_back(retirement(plan, {vm.uuid, vm.name, host.name, vm.image}));
            }
        }
    }
    for (const auto& [uuid, vm] : world.recorded) {
        if (vm.release != plan.release || !known.insert(uuid).second) {
            continue;
        }
        auto planned = retirement(plan, {uuid, vm.name, vm.host, vm.image});
        const auto* host = find_host(world, vm.host);
        const bool waits = host != nullptr && !host->reachable;
        if (waits && vm.state == condemned_state) {
            continue; // decided before; nothing can be done yet
        }
        if (waits) {
            planned.reason += "; when its host is back: " + host->error;
        }
        plan.vms.push_back(std::move(planned));
    }
}

/// The name of the wanted overlay is known without asking the host.
bool is_wanted_disk(const VmSpec& spec, std::string_view path)
{
    // Whole in a folder of its own, or behind the VM's name in a pool.
    return path.ends_with("system-" + spec.image.digest.substr(0, 16) + ".qcow2");
}

bool stays_defined(Action action)
{
    return action == Action::keep || action == Action::verify || action == Action::start;
}

/// The VM as it is defined reads this file: somebody took a snapshot.
bool is_in_use(const ObservedHost& host, const VmSpec& spec, const std::string& path)
{
    const auto vm = std::ranges::find(host.vms, spec.uuid, &ObservedVm::uuid);
    return vm != host.vms.end() && std::ranges::find(vm->disks, path) != vm->disks.end();
}

void add_leftovers(Plan& plan, const World& world)
{
    std::map<std::string, PlannedVm*> by_name;
    for (auto& vm : plan.vms) {
        by_name[vm.spec.host + "/" + vm.spec.name] = &vm;
    }
    for (const auto& host : world.hosts) {
        for (const auto& disk : host.disks) {
            const auto found = by_name.find(host.name + "/" + disk.vm);
            if (found == by_name.end() || found->second->action == Action::blocked) {
                continue;
            }
            auto& vm = *found->second;
            const bool spare = !disk.data && !is_wanted_disk(vm.spec, disk.path) &&
                               !(stays_defined(vm.action) && is_in_use(host, vm.spec, disk.path));
            if (vm.action == Action::retire || spare) {
                vm.leftovers.push_back(disk.path);
            }
        }
    }
}

/// Canaries, then batches; only VMs that change take part. Those that are down come first: mending
/// them takes nothing away.
void assign_waves(Plan& plan, const Rollout& rollout)
{
    std::ranges::stable_sort(plan.vms, {}, &PlannedVm::available);
    std::size_t changing = 0;
    for (auto& vm : plan.vms) {
        if (vm.action == Action::keep || vm.action == Action::blocked) {
            continue;
        }
        const std::size_t index = changing++;
        if (index < rollout.canary) {
            vm.wave = 0;
        } else {
            const auto canaries = rollout.canary == 0 ? 0U : 1U;
            const auto later = index - rollout.canary;
            vm.wave = canaries + (rollout.batch == 0 ? 0 : later / rollout.batch);
        }
        plan.waves = std::max(plan.waves, vm.wave + 1);
    }
    std::ranges::stable_sort(plan.vms, {}, &PlannedVm::wave);
}

Json facts_of(const ObservedVm& vm)
{
    return {vm.uuid, vm.name, vm.state, vm.release, vm.image, vm.spec};
}

/// Everything that was looked at, in a form whose equality means "nothing moved".
std::string digest_of(const World& world)
{
    Json seen = Json::array();
    for (const auto& host : world.hosts) {
        Json vms = Json::array();
        for (const auto& vm : host.vms) {
            vms.push_back(facts_of(vm));
        }
        Json disks = Json::array();
        for (const auto& disk : host.disks) {
            disks.push_back(disk.path);
        }
        seen.push_back({host.name, host.reachable, host.fenced, vms, disks});
    }
    seen.push_back(world.verified);
    for (const auto& [uuid, vm] : world.recorded) {
        seen.push_back({uuid, vm.name, vm.host, vm.image, vm.release, vm.state});
    }
    return sha256(canonical_json(seen)).hex();
}

/// What of a world concerns a plan, in a form whose equality means "nothing moved".
Json share_of(const Plan& plan, const World& world)
{
    std::set<std::string> names;
    for (const auto& vm : plan.vms) {
        names.insert(vm.spec.name);
    }
    Json seen = Json::array();
    for (const auto& host : world.hosts) {
        seen.push_back({host.name, host.reachable, host.fenced});
        for (const auto& vm : host.vms) {
            if (vm.release == plan.release || names.contains(vm.name)) {
                seen.push_back(facts_of(vm));
            }
        }
        for (const auto& disk : host.disks) {
            if (names.contains(disk.vm)) {
                seen.push_back(disk.path);
            }
        }
    }
    return seen;
}

Plan start_plan(const Release& release, const World& world)
{
    Plan plan;
    plan.release = release.name;
    plan.version = release.version;
    plan.file_digest = release.digest.hex();
    plan.checks_digest = sha256(canonical_json(to_json(release.verify))).hex();
    plan.world_digest = digest_of(world);
    return plan;
}

void finish_plan(Plan& plan, const Release& release, const World& world)
{
    assign_waves(plan, release.rollout);
    add_retirements(plan, world);
    add_leftovers(plan, world);
}

bool is_too_small(const VmSpec& spec)
{
    return spec.system_disk_mib != 0 && spec.image.size > spec.system_disk_mib << 20U;
}

constexpr std::array<const char*, 2> colours = {"-blue", "-green"};

Release in_colour(const Release& release, const char* colour)
{
    auto coloured = release;
    for (auto& vm : coloured.vms) {
        vm.name += colour;
    }
    return coloured;
}

Plan plan_as_named(const Release& release, const Resolved& resolved, const World& world)
{
    auto plan = start_plan(release, world);
    const Sightings sightings(world);
    Placement placement(world, sightings, release);
    for (const auto& vm : release.vms) {
        PlannedVm planned;
        planned.spec = spec_of(release, vm, resolved);
        std::string why;
        planned.spec.host = placement.choose(vm, why);
        if (planned.spec.host.empty()) {
            block(planned, why);
        } else if (is_too_small(planned.spec)) {
            block(planned, "its image does not fit into system_disk_mib");
        } else {
            decide(planned, sightings, world, plan.checks_digest);
        }
        plan.vms.push_back(std::move(planned));
    }
    finish_plan(plan, release, world);
    return plan;
}

/// VMs that are there and would change; then those that are missing.
std::pair<std::size_t, std::size_t> cost_of(const Plan& plan)
{
    const auto count = [&](const auto& belongs) {
        return static_cast<std::size_t>(std::ranges::count_if(plan.vms, belongs));
    };
    return {count([](const PlannedVm& vm) {
                return vm.action == Action::reimage || vm.action == Action::redefine;
            }),
            count([](const PlannedVm& vm) { return vm.action == Action::create; })};
}

/// "web-1" of "web-1-blue"; nullopt for a name without a colour.
std::optional<std::string> without_colour(const std::string& name)
{
    for (const std::string_view colour : colours) {
        if (name.ends_with(colour)) {
            return name.substr(0, name.size() - colour.size());
        }
    }
    return std::nullopt;
}

void mark_replaced(Plan& plan)
{
    std::map<std::string, std::string> stays; // name without its colour: with it
    for (const auto& vm : plan.vms) {
        if (const auto name = without_colour(vm.spec.name); name && vm.action != Action::retire) {
            stays[*name] = vm.spec.name;
        }
    }
    for (auto& vm : plan.vms) {
        const auto name = without_colour(vm.spec.name);
        if (vm.action == Action::retire && name && stays.contains(*name)) {
            vm.replaced = true;
            vm.reason = "replaced by " + stays[*name];
        }
    }
}

} // namespace

std::string_view to_string(Action action) noexcept
{
    switch (action) {
    case Action::keep:
        return "keep";
    case Action::verify:
        return "verify";
    case Action::start:
        return "start";
    case Action::create:
        return "create";
    case Action::reimage:
        return "reimage";
    case Action::redefine:
        return "redefine";
    case Action::retire:
        return "retire";
    case Action::blocked:
        break;
    }
    return "blocked";
}

std::string proof_of(const std::string& spec, const std::string& checks)
{
    return spec + "/" + checks;
}

bool Plan::changes() const
{
    return std::ranges::any_of(vms, [](const PlannedVm& vm) {
        return vm.action != Action::keep || !vm.leftovers.empty();
    });
}

bool Plan::is_blocked() const
{
    return std::ranges::any_of(vms,
                               [](const PlannedVm& vm) { return vm.action == Action::blocked; });
}

Plan make_plan(const Release& release, const Resolved& resolved, const World& world)
{
    if (release.rollout.strategy != Rollout::Strategy::blue_green) {
        return plan_as_named(release, resolved, world);
    }
    auto blue = plan_as_named(in_colour(release, colours[0]), resolved, world);
    auto green = plan_as_named(in_colour(release, colours[1]), resolved, world);
    auto& chosen = cost_of(green) < cost_of(blue) ? green : blue;
    mark_replaced(chosen);
    return std::move(chosen);
}

bool still_holds(const Plan& plan, const World& before, const World& now)
{
    return share_of(plan, before) == share_of(plan, now);
}

void fence(World& world, const std::vector<std::string>& hosts)
{
    for (const auto& name : hosts) {
        const auto host = std::ranges::find(world.hosts, name, &ObservedHost::name);
        if (host == world.hosts.end()) {
            throw Error(ErrorCode::not_found,
                        "no host " + name + " is known",
                        "`stemma host list` shows them");
        }
        if (host->reachable) {
            throw Error(ErrorCode::conflict,
                        "host " + name + " answers, so it is not fenced",
                        "`stemma host drain " + name + "` moves its VMs elsewhere");
        }
        host->fenced = true;
    }
}

std::vector<std::string> possible_names(const Release& release, const VmWanted& vm)
{
    if (release.rollout.strategy != Rollout::Strategy::blue_green) {
        return {vm.name};
    }
    return {vm.name + colours[0], vm.name + colours[1]};
}

std::vector<std::vector<const PlannedVm*>>
groups_of_wave(const Plan& plan, std::size_t wave, unsigned max_unavailable)
{
    std::vector<const PlannedVm*> down;
    std::vector<std::vector<const PlannedVm*>> groups;
    std::size_t taken = 0;
    for (const auto& vm : plan.vms) {
        const bool idle = vm.action == Action::keep || vm.action == Action::blocked ||
                          vm.action == Action::retire;
        if (idle || vm.wave != wave) {
            continue;
        }
        if (!vm.available || max_unavailable == 0) {
            down.push_back(&vm);
            continue;
        }
        if (taken++ % max_unavailable == 0) {
            groups.emplace_back();
        }
        groups.back().push_back(&vm);
    }
    if (!down.empty()) {
        groups.insert(groups.begin(), std::move(down));
    }
    return groups;
}

Plan make_plan_to(const Release& release, const std::vector<VmSpec>& specs, const World& world)
{
    auto plan = start_plan(release, world);
    const Sightings sightings(world);
    for (const auto& spec : specs) {
        PlannedVm planned;
        planned.spec = spec;
        decide(planned, sightings, world, plan.checks_digest);
        plan.vms.push_back(std::move(planned));
    }
    finish_plan(plan, release, world);
    return plan;
}

} // namespace stemma::deployer
