#pragma once

#include "stemma/core/json.hpp"
#include "stemma/deployer/hypervisor.hpp"
#include "stemma/deployer/spec.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::deployer {

enum class Action {
    keep,     ///< as wanted, and proven good
    verify,   ///< runs as wanted; the proof is missing
    start,    ///< made as wanted; does not run
    create,   ///< is not there
    reimage,  ///< another image: a new system disk
    redefine, ///< same image; memory, CPUs, network, boot or disks differ
    retire,   ///< belongs to the release no longer
    blocked,  ///< cannot be done; `reason` says why
};
std::string_view to_string(Action action) noexcept;

struct PlannedVm {
    Action action = Action::keep;
    VmSpec spec;            ///< for retire: name, uuid, host and release alone
    std::string from_image; ///< digest; empty when it is new
    std::string reason;
    std::size_t wave = 0; ///< 0: canaries; retirements come after all waves
    /// It runs and was proven good as it is: changing it takes something away for a while.
    bool available = false;
    /// Retired because another colour of it is proven then; nothing of the user's goes with it.
    bool replaced = false;
    /// Files of this VM's folder that nothing will use after the whole plan is done.
    std::vector<std::string> leftovers;
};

/// What is to be done, and what it was decided on.
struct Plan {
    std::string release;
    std::string version;
    std::string file_digest;    ///< of the release file
    std::string checks_digest;  ///< of its verification: other checks prove something else
    std::vector<PlannedVm> vms; ///< by wave, then in the file's order
    std::size_t waves = 0;
    std::string world_digest; ///< of all observations that the decisions rest on

    /// Something else than keep is planned, or leftovers are to go.
    [[nodiscard]] bool changes() const;
    [[nodiscard]] bool is_blocked() const;
};

/// The state of things, as one value.
struct World {
    std::vector<ObservedHost> hosts;                                       ///< in order of name
    std::map<std::string, std::map<std::string, std::string>> host_labels; ///< by host name
    /// proof_of() what was verified after the VM's last start, by VM uuid.
    std::map<std::string, std::string> verified;
    /// What the lineage has of live VMs, by uuid.
    struct Recorded {
        std::string name;
        std::string host;
        std::string image;
        std::string release;
        std::string state;
    };
    std::map<std::string, Recorded> recorded;
};

/// The images and boot files that a release names, looked up beforehand.
struct Resolved {
    std::map<std::string, ImageRef> images;    ///< by the release file's word
    std::map<std::string, std::string> files;  ///< sha256 by path: kernels and initrds
    std::map<std::string, ResolvedSeed> seeds; ///< by VM name
};

/// Names of a release's VMs as they will be called: with blue_green each has two.
std::vector<std::string> possible_names(const Release& release, const VmWanted& vm);

/// Pure: the same arguments give the same plan.
///
/// A VM stays on the host that has it. New ones go to their named host, or are spread over the
/// hosts that carry their labels: those with enough memory first, then as `spread` and
/// `anti_affinity` say, then fewest VMs of this release, then by name.
///
/// Of the two colours of a blue_green release the one is planned for which fewer VMs that are there
/// would change: the new ones stand beside the old ones until all are proven.
Plan make_plan(const Release& release, const Resolved& resolved, const World& world);

/// What a plan was made of is still so: its VMs, those of its release, and their disks.
/// before  that the plan was made of
bool still_holds(const Plan& plan, const World& before, const World& now);

/// A person's word that these hosts are down for good: what was on them may run elsewhere.
/// throws  not_found: no such host; conflict: it answers
void fence(World& world, const std::vector<std::string>& hosts);

/// The same toward specs that were applied before; what `release rollback` uses.
Plan make_plan_to(const Release& release, const std::vector<VmSpec>& specs, const World& world);

/// Groups of the VMs of one wave that may be worked on at once so that never more than
/// `max_unavailable` (0: any number) of those that are available go down: first all that are down
/// already, then the others in so many at a time. Pointers into `plan`, in its order.
std::vector<std::vector<const PlannedVm*>>
groups_of_wave(const Plan& plan, std::size_t wave, unsigned max_unavailable);

/// What was proven of a VM: this spec, by these checks.
std::string proof_of(const std::string& spec_digest, const std::string& checks_digest);

Json to_json(const Plan& plan);
/// Reads what to_json() made. throws  corrupt
Plan plan_from_json(const Json& json);

} // namespace stemma::deployer
