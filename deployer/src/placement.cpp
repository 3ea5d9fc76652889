#include "placement.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <tuple>

namespace stemma::deployer {

namespace {

/// Names never contain it.
constexpr char between = '\n';

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

std::uint64_t memory_in_use(const ObservedHost& host)
{
    std::uint64_t sum = 0;
    for (const auto& vm : host.vms) {
        sum += vm.state == "running" || vm.state == "paused" ? vm.memory_mib : 0;
    }
    return sum;
}

unsigned count_of(const std::map<std::string, unsigned>& counts, const std::string& key)
{
    const auto found = counts.find(key);
    return found == counts.end() ? 0 : found->second;
}

} // namespace

const ObservedHost* find_host(const World& world, std::string_view name)
{
    const auto found = std::ranges::find(world.hosts, name, &ObservedHost::name);
    return found == world.hosts.end() ? nullptr : &*found;
}

Placement::Placement(const World& world, const Sightings& sightings, const Release& release)
    : world_(world), sightings_(sightings), release_(release.name)
{
    for (const auto& host : world.hosts) {
        promised_[host.name] = memory_in_use(host);
    }
    for (const auto& vm : release.vms) {
        if (const auto host = seat_of(vm); !host.empty()) {
            seat(vm, host);
        }
    }
}

/// Where it stands already, or must stand.
std::string Placement::seat_of(const VmWanted& vm) const
{
    if (!vm.host.empty()) {
        return vm.host;
    }
    const auto uuid = vm_uuid(release_, vm.name);
    const auto seen = sightings_.of_uuid(uuid);
    if (!seen.empty()) {
        return seen.front().host->name;
    }
    // A host that does not answer may still run it: nowhere else, then.
    const auto recorded = world_.recorded.find(uuid);
    const auto* home =
        recorded == world_.recorded.end() ? nullptr : find_host(world_, recorded->second.host);
    return home != nullptr && !home->reachable && !home->fenced ? home->name : std::string();
}

const std::string* Placement::label(const std::string& host, const std::string& key) const
{
    const auto labels = world_.host_labels.find(host);
    if (labels == world_.host_labels.end()) {
        return nullptr;
    }
    const auto found = labels->second.find(key);
    return found == labels->second.end() ? nullptr : &found->second;
}

std::string Placement::seat(const VmWanted& vm, const std::string& host)
{
    ++load_[host];
    if (const auto* value = label(host, vm.spread)) {
        ++spread_[vm.group + between + *value];
    }
    if (vm.anti_affinity == "host") {
        ++apart_[vm.group + between + host];
    } else if (const auto* value = label(host, vm.anti_affinity)) {
        ++apart_[vm.group + between + *value];
    }
    return host;
}

bool Placement::may_stand(const VmWanted& vm, const std::string& host) const
{
    if (vm.anti_affinity.empty()) {
        return true;
    }
    const auto* value = vm.anti_affinity == "host" ? &host : label(host, vm.anti_affinity);
    return value != nullptr && count_of(apart_, vm.group + between + *value) == 0;
}

std::string Placement::reason_for_none(const VmWanted& vm) const
{
    if (world_.hosts.empty()) {
        return "no host is known";
    }
    const bool labelled = std::ranges::any_of(world_.hosts, [&](const ObservedHost& host) {
        return host.reachable && !host.drained && has_labels(world_, host.name, vm.labels);
    });
    return labelled ? fmt::format("every host that carries its labels has a VM of {} already, or "
                                  "no place for it (anti_affinity: {})",
                                  vm.group,
                                  vm.anti_affinity)
                    : "no reachable host carries its labels";
}

std::string Placement::choose(const VmWanted& vm, std::string& why)
{
    if (auto host = seat_of(vm); !host.empty()) {
        if (find_host(world_, host) == nullptr) {
            why = "no host \"" + host + "\" is known";
            return {};
        }
        return host;
    }
    using Rank = std::tuple<bool, unsigned, unsigned, std::string>;
    std::optional<Rank> best;
    for (const auto& host : world_.hosts) {
        if (!host.reachable || host.drained || !has_labels(world_, host.name, vm.labels) ||
            !may_stand(vm, host.name)) {
            continue;
        }
        const bool full =
            host.memory_mib != 0 && promised_[host.name] + vm.memory_mib > host.memory_mib;
        const auto* value = vm.spread.empty() ? nullptr : label(host.name, vm.spread);
        // A host without the label is as good as one that is used by all.
        const auto spread = vm.spread.empty()  ? 0U
                            : value == nullptr ? ~0U
                                               : count_of(spread_, vm.group + between + *value);
        Rank rank{full, spread, load_[host.name], host.name};
        if (!best || rank < *best) {
            best = std::move(rank);
        }
    }
    if (!best) {
        why = reason_for_none(vm);
        return {};
    }
    const auto& host = std::get<std::string>(*best);
    promised_[host] += vm.memory_mib;
    return seat(vm, host);
}

} // namespace stemma::deployer
