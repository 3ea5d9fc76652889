// Hosts against what was applied to them. Pure.

#include "stemma/core/text.hpp"
#include "stemma/deployer/watch.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "disk_names.hpp"

namespace stemma::deployer {

namespace {

const ObservedVm* find_vm(const ObservedHost& host, const std::string& uuid)
{
    const auto found = std::ranges::find(host.vms, uuid, &ObservedVm::uuid);
    return found == host.vms.end() ? nullptr : &*found;
}

std::size_t count_of_disks(const VmSpec& spec)
{
    return 1 + spec.data_disks.size() + (spec.seed ? 1 : 0);
}

/// What is wrong with a VM's disks, in words; empty when nothing is.
std::string other_disks(const VmSpec& spec, const ObservedVm& vm)
{
    if (vm.disks.size() != count_of_disks(spec)) {
        return fmt::format("{} disks: {}", vm.disks.size(), join(vm.disks, ", "));
    }
    if (!vm.live_disks.empty() && vm.live_disks != vm.disks) {
        return "now " + join(vm.live_disks, ", ");
    }
    for (std::size_t i = 0; i < spec.data_disks.size() && i + 1 < vm.disks.size(); ++i) {
        if (disk_name_in(vm.disks[i + 1]) != data_disk_name(spec.data_disks[i])) {
            return "in place of data disk " + spec.data_disks[i].name + ": " + vm.disks[i + 1];
        }
    }
    return {};
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
    if (vm.state != "running" && vm.reason != virt::starting_reason) {
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
    if (vm.edited) {
        differs("edited", "the definition that was made", "changed by others");
    }
    if (const auto actual = other_disks(spec, vm); !actual.empty()) {
        differs("disks", fmt::format("{} disks of ours", count_of_disks(spec)), actual);
    }
    for (const auto& snapshot : vm.snapshots) {
        differs("snapshot", "none", snapshot);
    }
}

void compare_base(const VmSpec& spec, const ObservedHost& host, std::vector<Drift>& drift)
{
    if (std::ranges::find(host.changed_bases, spec.image.digest) != host.changed_bases.end()) {
        drift.push_back({.host = host.name,
                         .vm = spec.name,
                         .kind = "base",
                         .expected = spec.image.digest,
                         .actual = "somebody wrote to the base image since it was proven"});
    }
}

} // namespace

std::vector<Drift> find_drift(const std::vector<ObservedHost>& hosts,
                              const std::vector<VmSpec>& applied,
                              bool with_foreign,
                              const std::set<std::string>& adopted)
{
    std::vector<Drift> drift;
    auto known = adopted;
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
                compare_base(spec, host, drift);
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
