#include "decide.hpp"

#include <algorithm>

#include "disk_names.hpp"

namespace stemma::deployer {

namespace {

bool is_recorded(const VmSpec& spec, const World& world)
{
    const auto found = world.recorded.find(spec.uuid);
    return found != world.recorded.end() && found->second.image == spec.image.digest &&
           found->second.host == spec.host && found->second.state == "running";
}

/// The top of a data disk on which somebody took a snapshot; empty when there is none.
std::string disk_that_would_be_lost(const ObservedVm& seen)
{
    for (const auto& disk : seen.disks) {
        const auto name = disk_name_in(disk);
        if (name.starts_with(data_disk_beginning) && !name.ends_with(data_disk_ending)) {
            return disk;
        }
    }
    return {};
}

/// What the VM that was seen needs to become what is wanted.
void compare(PlannedVm& planned,
             const ObservedVm& seen,
             const World& world,
             const std::string& checks)
{
    planned.from_image = seen.image;
    planned.available = seen.state == "running" && world.verified.contains(planned.spec.uuid);
    const auto wanted = spec_digest(planned.spec);
    const auto lost = disk_that_would_be_lost(seen);
    const bool changes = seen.image != planned.spec.image.digest || seen.spec != wanted;
    if (changes && !lost.empty()) {
        block(planned,
              "a snapshot lies on its data, and a new definition would lose what came since: " +
                  lost);
    } else if (seen.image != planned.spec.image.digest) {
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

/// Why nothing can be done on the host that a VM is to be on; empty when something can.
std::string why_not_there(const ObservedHost* host, const std::string& name)
{
    if (host == nullptr) {
        return "no host \"" + name + "\" is known";
    }
    if (host->fenced) {
        return "host " + name +
               " is fenced: a release file that names another one, or none, "
               "makes it elsewhere";
    }
    return host->reachable
               ? ""
               : fmt::format("host {0} cannot be reached: {1}; if it is dead, --i-fenced {0} lets "
                             "what was there be made elsewhere",
                             name,
                             host->error);
}

/// Two hosts define it; which copy is meant the lineage knows, but not what is in the other one.
std::string which_copies(const VmSpec& spec, const std::vector<Sighting>& seen, const World& world)
{
    std::string where;
    for (const auto& copy : seen) {
        where +=
            fmt::format("{}{} ({})", where.empty() ? "" : " and ", copy.host->name, copy.vm->state);
    }
    auto why = "it is defined on " + where + ": decide which copy is right first";
    const auto recorded = world.recorded.find(spec.uuid);
    const auto old = std::ranges::find_if(seen, [&](const Sighting& copy) {
        return recorded != world.recorded.end() && copy.host->name != recorded->second.host;
    });
    if (old != seen.end()) {
        why += fmt::format("; `stemma vm retire {} --old-copy-on {}` takes that one away",
                           spec.name,
                           old->host->name);
    }
    return why;
}

std::string reason_to_create(const VmSpec& spec, const ObservedHost* home)
{
    if (home == nullptr || !home->fenced) {
        return "not there";
    }
    return "its host " + home->name +
           (spec.data_disks.empty()
                ? " is fenced"
                : " is fenced; its data disks are there, so it gets empty ones");
}

} // namespace

void block(PlannedVm& planned, std::string why)
{
    planned.action = Action::blocked;
    planned.reason = std::move(why);
}

void decide(PlannedVm& planned,
            const Sightings& sightings,
            const World& world,
            const std::string& checks)
{
    const auto* host = find_host(world, planned.spec.host);
    if (auto why = why_not_there(host, planned.spec.host); !why.empty()) {
        block(planned, std::move(why));
        return;
    }
    const auto seen = sightings.of_uuid(planned.spec.uuid);
    if (seen.size() > 1) {
        block(planned, which_copies(planned.spec, seen, world));
        return;
    }
    if (!seen.empty() && seen.front().host->name != planned.spec.host) {
        block(planned, "it is on host " + seen.front().host->name + ": migrate it first");
        return;
    }
    if (seen.empty()) {
        const auto recorded = world.recorded.find(planned.spec.uuid);
        const auto* home =
            recorded == world.recorded.end() ? nullptr : find_host(world, recorded->second.host);
        if (home != nullptr && !home->reachable && !home->fenced) {
            block(planned,
                  fmt::format("it may still run on host {0}, which cannot be reached: {1}; "
                              "--i-fenced {0} says that it does not",
                              home->name,
                              home->error));
            return;
        }
        const auto namesake = sightings.at(planned.spec.host, planned.spec.name);
        if (namesake.vm != nullptr) {
            block(planned,
                  namesake.vm->release.empty()
                      ? "the host has a VM of this name that is not ours"
                      : "the host has a VM of this name of release " + namesake.vm->release);
            return;
        }
        planned.action = Action::create;
        planned.reason = reason_to_create(planned.spec, home);
        return;
    }
    compare(planned, *seen.front().vm, world, checks);
}

} // namespace stemma::deployer
