#pragma once

#include "stemma/deployer/plan.hpp"

#include <map>
#include <string>
#include <vector>

namespace stemma::deployer {

/// nullptr when the world has no such host.
const ObservedHost* find_host(const World& world, std::string_view name);

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

/// Hosts for the VMs of a release: the one that has it, the one named, or the best of those that
/// carry its labels. In this order: enough memory, `spread`, fewest VMs of this release, name.
class Placement {
public:
    /// Takes the seats first of those VMs that have one.
    Placement(const World& world, const Sightings& sightings, const Release& release);

    /// For the next VM in the release's order. Empty when there is none; then `why` says so.
    std::string choose(const VmWanted& vm, std::string& why);

private:
    [[nodiscard]] std::string seat_of(const VmWanted& vm) const;
    [[nodiscard]] const std::string* label(const std::string& host, const std::string& key) const;
    [[nodiscard]] bool may_stand(const VmWanted& vm, const std::string& host) const;
    [[nodiscard]] std::string reason_for_none(const VmWanted& vm) const;
    std::string seat(const VmWanted& vm, const std::string& host);

    const World& world_;
    const Sightings& sightings_;
    std::string release_;
    std::map<std::string, unsigned> load_;          ///< VMs of this release, by host
    std::map<std::string, std::uint64_t> promised_; ///< MiB, by host
    std::map<std::string, unsigned> spread_;        ///< by group, label and value
    std::map<std::string, unsigned> apart_;         ///< by group and where
};

} // namespace stemma::deployer
