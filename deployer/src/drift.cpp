// Pure comparisons: hosts against the lineage, and against what was applied.

#include "stemma/deployer/watch.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace stemma::deployer {

namespace {

model::EventDraft state_event(const std::string& uuid,
                              const World::Recorded& vm,
                              std::string_view state,
                              std::string_view reason,
                              Time now)
{
    return {.at = now,
            .kind = "vm.state",
            .body = {{"uuid", uuid},
                     {"name", vm.name},
                     {"host", vm.host},
                     {"state", state},
                     {"reason", reason}}};
}

const ObservedVm* find_vm(const ObservedHost& host, const std::string& uuid)
{
    const auto found = std::ranges::find(host.vms, uuid, &ObservedVm::uuid);
    return found == host.vms.end() ? nullptr : &*found;
}

/// How the VM that was found differs from its spec.
void compare(const VmSpec& spec, const ObservedVm& vm, std::vector<Drift>& drift)
{
    const auto differs = [&](std::string kind, std::string expected, std::string actual) {
        drift.push_back({.host = spec.host,
                         .vm = spec.name,
                         .kind = std::move(kind),
                         .expected = std::move(expected),
                         .actual = std::move(actual)});
    };
    if (vm.name != spec.name) {
        differs("renamed", spec.name, vm.name);
    }
    if (vm.state != "running") {
        differs("stopped", "running", vm.state + ": " + vm.reason);
    }
    if (vm.image != spec.image.digest) {
        differs("image", spec.image.digest, vm.image.empty() ? "no mark of ours" : vm.image);
    } else if (vm.spec != spec_digest(spec)) {
        differs("definition", spec_digest(spec), vm.spec);
    }
    if (vm.memory_mib != spec.memory_mib) {
        differs(
            "memory", fmt::format("{} MiB", spec.memory_mib), fmt::format("{} MiB", vm.memory_mib));
    }
    if (vm.vcpus != spec.vcpus) {
        differs("vcpus", std::to_string(spec.vcpus), std::to_string(vm.vcpus));
    }
    const auto disks = 1 + spec.data_disks.size();
    if (vm.disks.size() != disks) {
        differs("disks", fmt::format("{}", disks), fmt::format("{}", vm.disks.size()));
    }
}

} // namespace

std::vector<model::EventDraft>
reconcile(const ObservedHost& host, const RecordedVms& recorded, Time now)
{
    std::vector<model::EventDraft> drafts;
    for (const auto& [uuid, vm] : recorded) {
        if (vm.host != host.name) {
            continue;
        }
        const auto* seen = find_vm(host, uuid);
        const std::string state = seen == nullptr ? "unknown" : seen->state;
        if (state == vm.state) {
            continue;
        }
        const std::string reason = !host.reachable   ? "host cannot be reached: " + host.error
                                   : seen == nullptr ? "its host does not have it any more"
                                                     : seen->reason;
        drafts.push_back(state_event(uuid, vm, state, reason, now));
    }
    return drafts;
}

std::vector<Drift> find_drift(const std::vector<ObservedHost>& hosts,
                              const std::vector<VmSpec>& applied,
                              bool with_foreign)
{
    std::vector<Drift> drift;
    std::set<std::string> known;
    for (const auto& spec : applied) {
        known.insert(spec.uuid);
        bool found = false;
        for (const auto& host : hosts) {
            const auto* vm = find_vm(host, spec.uuid);
            if (vm == nullptr) {
                continue;
            }
            if (host.name == spec.host) {
                found = true;
                compare(spec, *vm, drift);
            } else {
                drift.push_back({.host = host.name,
                                 .vm = spec.name,
                                 .kind = "elsewhere",
                                 .expected = "on " + spec.host,
                                 .actual = "on " + host.name + ", " + vm->state});
            }
        }
        const auto home = std::ranges::find(hosts, spec.host, &ObservedHost::name);
        if (!found && home != hosts.end() && home->reachable) {
            drift.push_back({.host = spec.host,
                             .vm = spec.name,
                             .kind = "missing",
                             .expected = "running",
                             .actual = "not there"});
        }
    }
    for (const auto& host : hosts) {
        for (const auto& vm : host.vms) {
            if (!known.contains(vm.uuid) && (with_foreign || !vm.release.empty())) {
                drift.push_back(
                    {.host = host.name,
                     .vm = vm.name,
                     .kind = "foreign",
                     .expected = "not there",
                     .actual = vm.release.empty() ? vm.state : vm.state + ", of " + vm.release});
            }
        }
    }
    std::ranges::stable_sort(drift, [](const Drift& a, const Drift& b) {
        return std::tie(a.host, a.vm) < std::tie(b.host, b.vm);
    });
    return drift;
}

} // namespace stemma::deployer
