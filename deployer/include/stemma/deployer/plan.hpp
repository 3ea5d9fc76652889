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
    std::map<std::string, ImageRef> images;   ///< by the release file's word
    std::map<std::string, std::string> files; ///< sha256 by path: kernels and initrds
};

/// Pure: the same arguments give the same plan.
///
/// A VM stays on the host that has it. New ones go to their named host, or are spread over the
/// hosts that carry their labels: fewest VMs of this release first, then by name.
Plan make_plan(const Release& release, const Resolved& resolved, const World& world);

/// The same toward specs that were applied before; what `release rollback` uses.
Plan make_plan_to(const Release& release, const std::vector<VmSpec>& specs, const World& world);

/// What was proven of a VM: this spec, by these checks.
std::string proof_of(const std::string& spec_digest, const std::string& checks_digest);

Json to_json(const Plan& plan);
/// Reads what to_json() made. throws  corrupt
Plan plan_from_json(const Json& json);

} // namespace stemma::deployer
