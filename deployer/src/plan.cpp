#include "stemma/deployer/plan.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <optional>

namespace stemma::deployer {

namespace {

constexpr std::string_view plan_schema = "stemma.plan/1";

const ObservedHost* find_host(const World& world, std::string_view name)
{
    const auto found = std::ranges::find(world.hosts, name, &ObservedHost::name);
    return found == world.hosts.end() ? nullptr : &*found;
}

struct Sighting {
    const ObservedHost* host = nullptr;
    const ObservedVm* vm = nullptr;
};

/// Where every VM is, by uuid and by (host, name).
class Sightings {
public:
    explicit Sightings(const World& world)
    {
        for (const auto& host : world.hosts) {
            for (const auto& vm : host.vms) {
                by_uuid_[vm.uuid].push_back({&host, &vm});
                by_name_[host.name + "/" + vm.name] = {&host, &vm};
            }
        }
    }
    [[nodiscard]] std::vector<Sighting> of_uuid(const std::string& uuid) const
    {
        const auto found = by_uuid_.find(uuid);
        return found == by_uuid_.end() ? std::vector<Sighting>{} : found->second;
    }
    [[nodiscard]] Sighting at(const std::string& host, const std::string& name) const
    {
        const auto found = by_name_.find(host + "/" + name);
        return found == by_name_.end() ? Sighting{} : found->second;
    }

private:
    std::map<std::string, std::vector<Sighting>> by_uuid_;
    std::map<std::string, Sighting> by_name_;
};

bool has_labels(const World& world,
                const std::string& host,
                const std::map<std::string, std::string>& labels)
{
    const auto found = world.host_labels.find(host);
    return std::ranges::all_of(labels, [&](const auto& label) {
        if (found == world.host_labels.end()) {
            return false;
        }
        const auto value = found->second.find(label.first);
        return value != found->second.end() && value->second == label.second;
    });
}

/// Hosts for new VMs: the one named, or the emptiest that fits.
class Placement {
public:
    Placement(const World& world, const Sightings& sightings) : world_(world), sightings_(sightings)
    {
    }

    /// Empty when there is none; then `why` says so.
    std::string choose(const VmWanted& vm, const std::string& uuid, std::string& why)
    {
        const auto seen = sightings_.of_uuid(uuid);
        if (!seen.empty() && vm.host.empty()) {
            return count(seen.front().host->name);
        }
        if (!vm.host.empty()) {
            if (find_host(world_, vm.host) == nullptr) {
                why = "no host \"" + vm.host + "\" is known";
                return {};
            }
            return count(vm.host);
        }
        std::optional<std::string> best;
        for (const auto& host : world_.hosts) {
            if (host.reachable && has_labels(world_, host.name, vm.labels) &&
                (!best || load_[host.name] < load_[*best])) {
                best = host.name;
            }
        }
        if (!best) {
            why =
                world_.hosts.empty() ? "no host is known" : "no reachable host carries its labels";
            return {};
        }
        return count(*best);
    }

private:
    std::string count(const std::string& host)
    {
        ++load_[host];
        return host;
    }

    const World& world_;
    const Sightings& sightings_;
    std::map<std::string, unsigned> load_;
};

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
    spec.data_disks = vm.data_disks;
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

void block(PlannedVm& planned, std::string why)
{
    planned.action = Action::blocked;
    planned.reason = std::move(why);
}

bool is_recorded(const VmSpec& spec, const World& world)
{
    const auto found = world.recorded.find(spec.uuid);
    return found != world.recorded.end() && found->second.image == spec.image.digest &&
           found->second.host == spec.host && found->second.state == "running";
}

/// What the VM that was seen needs to become what is wanted.
void compare(PlannedVm& planned,
             const ObservedVm& seen,
             const World& world,
             const std::string& checks)
{
    planned.from_image = seen.image;
    const auto wanted = spec_digest(planned.spec);
    if (seen.image != planned.spec.image.digest) {
        planned.action = Action::reimage;
        planned.reason = "another image";
    } else if (seen.spec != wanted) {
        planned.action = Action::redefine;
        planned.reason = "another definition";
    } else if (seen.state != "running") {
        planned.action = Action::start;
        planned.reason = fmt::format("{}: {}", seen.state, seen.reason);
    } else {
        const auto proof = world.verified.find(planned.spec.uuid);
        const bool proven =
            proof != world.verified.end() && proof->second == proof_of(wanted, checks);
        const bool recorded = is_recorded(planned.spec, world);
        planned.action = proven && recorded ? Action::keep : Action::verify;
        planned.reason = !recorded ? "not recorded yet" : proven ? "as wanted" : "not verified yet";
    }
}

void decide(PlannedVm& planned,
            const Sightings& sightings,
            const World& world,
            const std::string& checks)
{
    const auto* host = find_host(world, planned.spec.host);
    if (host == nullptr || !host->reachable) {
        block(planned,
              host == nullptr ? "no host \"" + planned.spec.host + "\" is known"
                              : "host " + planned.spec.host + " cannot be reached: " + host->error);
        return;
    }
    const auto seen = sightings.of_uuid(planned.spec.uuid);
    if (seen.size() > 1) {
        block(planned, "it is defined on more than one host: decide which copy is right first");
        return;
    }
    if (!seen.empty() && seen.front().host->name != planned.spec.host) {
        block(planned, "it is on host " + seen.front().host->name + ": migrate it first");
        return;
    }
    if (seen.empty()) {
        const auto namesake = sightings.at(planned.spec.host, planned.spec.name);
        if (namesake.vm != nullptr) {
            block(planned,
                  namesake.vm->release.empty()
                      ? "the host has a VM of this name that is not ours"
                      : "the host has a VM of this name of release " + namesake.vm->release);
            return;
        }
        planned.action = Action::create;
        planned.reason = "not there";
        return;
    }
    compare(planned, *seen.front().vm, world, checks);
}

PlannedVm retirement(const Plan& plan, const VmSpec& spec, const std::string& image)
{
    PlannedVm planned;
    planned.action = Action::retire;
    planned.spec = spec;
    planned.spec.release = plan.release;
    planned.from_image = image;
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
                VmSpec spec;
                spec.uuid = vm.uuid;
                spec.name = vm.name;
                spec.host = host.name;
                plan.vms.push_back(retirement(plan, spec, vm.image));
            }
        }
    }
    for (const auto& [uuid, vm] : world.recorded) {
        if (vm.release == plan.release && known.insert(uuid).second) {
            VmSpec spec;
            spec.uuid = uuid;
            spec.name = vm.name;
            spec.host = vm.host;
            auto planned = retirement(plan, spec, vm.image);
            const auto* host = find_host(world, vm.host);
            if (host != nullptr && !host->reachable) {
                block(planned, "host " + vm.host + " cannot be reached: " + host->error);
            }
            plan.vms.push_back(std::move(planned));
        }
    }
}

/// The name of the wanted overlay is known without asking the host.
bool is_wanted_disk(const VmSpec& spec, std::string_view path)
{
    // Whole in a folder of its own, or behind the VM's name in a pool.
    return path.ends_with("system-" + spec.image.digest.substr(0, 16) + ".qcow2");
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
            const bool goes =
                vm.action == Action::retire || (!disk.data && !is_wanted_disk(vm.spec, disk.path));
            if (goes) {
                vm.leftovers.push_back(disk.path);
            }
        }
    }
}

/// Canaries, then batches; only VMs that change take part.
void assign_waves(Plan& plan, const Rollout& rollout)
{
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

/// Everything that was looked at, in a form whose equality means "nothing moved".
std::string digest_of(const World& world)
{
    Json seen = Json::array();
    for (const auto& host : world.hosts) {
        Json vms = Json::array();
        for (const auto& vm : host.vms) {
            vms.push_back({vm.uuid, vm.name, vm.state, vm.release, vm.image, vm.spec});
        }
        Json disks = Json::array();
        for (const auto& disk : host.disks) {
            disks.push_back(disk.path);
        }
        seen.push_back({host.name, host.reachable, vms, disks});
    }
    seen.push_back(world.verified);
    for (const auto& [uuid, vm] : world.recorded) {
        seen.push_back({uuid, vm.name, vm.host, vm.image, vm.release, vm.state});
    }
    return sha256(canonical_json(seen)).hex();
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

Action action_from(std::string_view word)
{
    for (const auto action : {Action::keep,
                              Action::verify,
                              Action::start,
                              Action::create,
                              Action::reimage,
                              Action::redefine,
                              Action::retire,
                              Action::blocked}) {
        if (to_string(action) == word) {
            return action;
        }
    }
    throw Error(ErrorCode::corrupt, fmt::format("a plan with the unknown action \"{}\"", word));
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
    auto plan = start_plan(release, world);
    const Sightings sightings(world);
    Placement placement(world, sightings);
    for (const auto& vm : release.vms) {
        PlannedVm planned;
        planned.spec = spec_of(release, vm, resolved);
        std::string why;
        planned.spec.host = placement.choose(vm, planned.spec.uuid, why);
        if (planned.spec.host.empty()) {
            block(planned, why);
        } else {
            decide(planned, sightings, world, plan.checks_digest);
        }
        plan.vms.push_back(std::move(planned));
    }
    finish_plan(plan, release, world);
    return plan;
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

Json to_json(const Plan& plan)
{
    Json vms = Json::array();
    for (const auto& vm : plan.vms) {
        const bool retire = vm.action == Action::retire;
        vms.push_back({{"action", to_string(vm.action)},
                       {"from_image", vm.from_image.empty() ? Json(nullptr) : Json(vm.from_image)},
                       {"host", vm.spec.host.empty() ? Json(nullptr) : Json(vm.spec.host)},
                       {"leftovers", vm.leftovers},
                       {"name", vm.spec.name},
                       {"reason", vm.reason},
                       {"spec", retire ? Json(nullptr) : to_json(vm.spec)},
                       {"uuid", vm.spec.uuid},
                       {"wave", vm.wave}});
    }
    return {{"checks_digest", plan.checks_digest},
            {"file_digest", plan.file_digest},
            {"plan", plan_schema},
            {"release", plan.release},
            {"vms", vms},
            {"version", plan.version},
            {"waves", plan.waves},
            {"world_digest", plan.world_digest}};
}

Plan plan_from_json(const Json& json)
{
    if (string_member(json, "plan") != plan_schema) {
        throw Error(ErrorCode::unsupported, "a plan of another version");
    }
    Plan plan;
    plan.release = string_member(json, "release");
    plan.version = string_member(json, "version");
    plan.file_digest = string_member(json, "file_digest");
    plan.checks_digest = string_member(json, "checks_digest");
    plan.world_digest = string_member(json, "world_digest");
    plan.waves = static_cast<std::size_t>(integer_member(json, "waves"));
    for (const auto& item : array_member(json, "vms")) {
        PlannedVm vm;
        vm.action = action_from(string_member(item, "action"));
        if (const auto& spec = member(item, "spec"); !spec.is_null()) {
            vm.spec = spec_from_json(spec);
        } else {
            vm.spec.uuid = string_member(item, "uuid");
            vm.spec.name = string_member(item, "name");
            vm.spec.release = plan.release;
            vm.spec.host = optional_string_member(item, "host").value_or("");
        }
        vm.from_image = optional_string_member(item, "from_image").value_or("");
        vm.reason = string_member(item, "reason");
        vm.wave = static_cast<std::size_t>(integer_member(item, "wave"));
        for (const auto& path : array_member(item, "leftovers")) {
            vm.leftovers.push_back(path.get<std::string>());
        }
        plan.vms.push_back(std::move(vm));
    }
    return plan;
}

} // namespace stemma::deployer
