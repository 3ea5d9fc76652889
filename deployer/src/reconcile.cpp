// Hosts, and what they tell, against the lineage. Pure.

#include "stemma/deployer/watch.hpp"

#include <algorithm>

namespace stemma::deployer {

namespace {

model::EventDraft state_event(const std::string& uuid,
                              const World::Recorded& vm,
                              const std::string& host,
                              const virt::DomainStatus& status,
                              Time now)
{
    return {.at = now,
            .kind = "vm.state",
            .body = {{"uuid", uuid},
                     {"name", vm.name},
                     {"host", host},
                     {"state", to_string(status.state)},
                     {"reason", status.reason}}};
}

model::EventDraft state_event(const std::string& uuid,
                              const World::Recorded& vm,
                              const std::string& host,
                              const ObservedVm& seen,
                              Time now)
{
    auto draft = state_event(uuid, vm, host, virt::DomainStatus{.reason = seen.reason}, now);
    draft.body["state"] = seen.state;
    return draft;
}

model::EventDraft
move_event(const std::string& uuid, const World::Recorded& vm, const std::string& to, Time now)
{
    return {.at = now,
            .kind = "vm.migrated",
            .body = {{"uuid", uuid}, {"name", vm.name}, {"from", vm.host}, {"to", to}}};
}

/// A moment between two states, of which an event or the next look tells.
bool is_starting(const ObservedVm& vm)
{
    return vm.state == to_string(virt::DomainState::paused) && vm.reason == virt::starting_reason;
}

struct Seen {
    const ObservedHost* host = nullptr;
    const ObservedVm* vm = nullptr;
};

/// Where one VM is: at home, and running elsewhere.
struct Whereabouts {
    const ObservedHost* home = nullptr; ///< nullptr: a host that was not looked at
    const ObservedVm* at_home = nullptr;
    Seen elsewhere;
};

class Map {
public:
    explicit Map(const std::vector<ObservedHost>& hosts)
    {
        for (const auto& host : hosts) {
            hosts_[host.name] = &host;
            for (const auto& vm : host.vms) {
                vms_.emplace(vm.uuid, Seen{&host, &vm});
            }
        }
    }

    [[nodiscard]] Whereabouts find(const std::string& uuid, const std::string& home) const
    {
        Whereabouts found;
        if (const auto host = hosts_.find(home); host != hosts_.end()) {
            found.home = host->second;
        }
        const auto [first, last] = vms_.equal_range(uuid);
        for (auto at = first; at != last; ++at) {
            const auto& seen = at->second;
            if (seen.host == found.home) {
                found.at_home = seen.vm;
            } else if (seen.vm->state == "running") {
                found.elsewhere = seen;
            }
        }
        return found;
    }

private:
    std::map<std::string, const ObservedHost*> hosts_;
    std::multimap<std::string, Seen> vms_;
};

void reconcile_one(const std::string& uuid,
                   const World::Recorded& vm,
                   const Whereabouts& found,
                   Time now,
                   std::vector<model::EventDraft>& drafts)
{
    const bool runs_at_home = found.at_home != nullptr && found.at_home->state == "running";
    if (found.elsewhere.vm != nullptr && !runs_at_home) {
        const auto& there = found.elsewhere;
        if (found.home->reachable) {
            drafts.push_back(move_event(uuid, vm, there.host->name, now));
        }
        if (!found.home->reachable || vm.state != "running") {
            drafts.push_back(state_event(uuid, vm, there.host->name, *there.vm, now));
        }
        return;
    }
    if (found.at_home != nullptr) {
        if (found.at_home->state != vm.state && !is_starting(*found.at_home)) {
            drafts.push_back(state_event(uuid, vm, vm.host, *found.at_home, now));
        }
    } else if (vm.state != to_string(virt::DomainState::unknown)) {
        const auto why = found.home->reachable ? std::string("its host does not have it any more")
                                               : "host cannot be reached: " + found.home->error;
        drafts.push_back(state_event(
            uuid, vm, vm.host, {.state = virt::DomainState::unknown, .reason = why}, now));
    }
}

} // namespace

std::vector<model::EventDraft>
reconcile(const std::vector<ObservedHost>& hosts, const RecordedVms& recorded, Time now)
{
    const Map map(hosts);
    std::vector<model::EventDraft> drafts;
    for (const auto& [uuid, vm] : recorded) {
        const auto found = map.find(uuid, vm.host);
        if (found.home != nullptr && vm.state != condemned_state) {
            reconcile_one(uuid, vm, found, now, drafts);
        }
    }
    return drafts;
}

std::vector<model::EventDraft>
facts_of(const virt::HostEvent& event, const RecordedVms& recorded, Time now)
{
    const auto found = recorded.find(event.uuid);
    if (found == recorded.end() || !event.status || found->second.state == condemned_state ||
        event.status->reason == virt::migrated_away_reason) {
        return {}; // what left one host is told by the one where it arrived
    }
    const auto& vm = found->second;
    const auto& status = *event.status;
    if (status.reason == virt::resumed_reason && vm.state != to_string(virt::DomainState::paused)) {
        return {}; // what resumed it is told by the next event
    }
    std::vector<model::EventDraft> drafts;
    const bool runs = status.state == virt::DomainState::running;
    if (vm.host != event.source) {
        if (!runs) {
            return {}; // an old copy, or the paused beginning of a migration
        }
        drafts.push_back(move_event(event.uuid, vm, event.source, now));
    }
    const bool reverted = runs && status.reason == virt::reverted_reason;
    if (vm.state != to_string(status.state) || reverted) {
        drafts.push_back(state_event(event.uuid, vm, event.source, status, now));
    }
    return drafts;
}

} // namespace stemma::deployer
