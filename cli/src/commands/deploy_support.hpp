#pragma once

#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/core/file.hpp"
#include "stemma/deployer/apply.hpp"
#include "stemma/deployer/fleet.hpp"
#include "stemma/deployer/plan.hpp"
#include "stemma/deployer/release.hpp"
#include "stemma/virt/connection.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the commands host, release and vm share: between the lineage and the deployer.
namespace stemma::cli {

/// How long a command waits for a host that does not answer.
inline constexpr auto connect_patience = std::chrono::seconds(20);

/// Live hosts of the store.
std::vector<deployer::HostEntry> host_entries(Context& context);
/// throws  not_found, with the nearest name
deployer::HostEntry find_host_entry(Context& context, const std::string& name);

/// Connects to hosts and looks at them, and at what the store knows of a release.
struct FleetView {
    std::unique_ptr<deployer::Fleet> fleet;
    deployer::World world;
};
/// fenced  hosts of which a person says that they are down
/// throws  not_found, conflict: a fenced host is unknown or answers
FleetView view_fleet(Context& context,
                     const std::string& release,
                     const std::vector<std::string>& fenced = {});
/// Looks again over the same connections.
deployer::World
look_again(Context& context, const deployer::Fleet& fleet, const std::string& release);

/// Images and boot files that a release names.
/// throws  not_found, with the place in the release file
deployer::Resolved resolve(Context& context, const deployer::Release& release);

/// Makes the cloud-init seeds of a release and keeps them beside the store, readable by nobody
/// else: what hosts get their copies from, also for a rollback.
void keep_seeds(Context& context, const deployer::Release& release);

/// Nobody else works on this release, as long as the answer lives.
/// throws  conflict
std::vector<std::unique_ptr<FileLock>> lock_release(Context& context, const std::string& release);

/// A live VM of the lineage by name or uuid.
/// throws  not_found, with the nearest name
lineage::VmInfo find_vm(Context& context, const std::string& name);

/// A VM by name or uuid, and its domain.
struct OpenVm {
    lineage::VmInfo info;
    deployer::HostEntry host;
    virt::Connection connection;
    virt::Domain domain;
};
/// throws  not_found: unknown to the lineage (with the nearest name), or gone from its host
OpenVm open_vm(Context& context, const std::string& name);

/// Records facts of this moment.
void record(Context& context, const std::string& kind, Json body);

} // namespace stemma::cli
