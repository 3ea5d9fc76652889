#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/deployer/decommission.hpp"

#include <algorithm>

#include "deploy_support.hpp"
#include "vm_life.hpp"

namespace stemma::cli {

namespace {

using namespace std::chrono_literals;

constexpr auto stop_patience = 20s;

void warn_of_left(Context& context, const lineage::VmInfo& vm, const std::vector<std::string>& left)
{
    for (const auto& disk : left) {
        context.log().warning(
            "{}: its disk {} is not in its host's folder and stays", vm.name, disk);
    }
}

/// The host has it no more; nothing of the record goes.
void take_away(Context& context, deployer::Hypervisor& host, const lineage::VmInfo& vm)
{
    warn_of_left(context, vm, deployer::decommission(host, vm.uuid, vm.name, stop_patience));
    record(context,
           "vm.retired",
           {{"uuid", vm.uuid}, {"name", vm.name}, {"reason", "stemma vm retire"}});
}

/// A note that outlives this command: whoever reaches the host next removes the VM.
void condemn(Context& context, const lineage::VmInfo& vm, const std::string& why)
{
    if (vm.state != deployer::condemned_state) {
        record(context,
               "vm.state",
               {{"uuid", vm.uuid},
                {"name", vm.name},
                {"host", vm.host},
                {"state", deployer::condemned_state},
                {"reason", "stemma vm retire; " + why}});
    }
    context.log().warning("{}: host {} cannot be reached ({}); the VM is removed when it is back",
                          vm.name,
                          vm.host,
                          why);
}

std::string reason_of(const deployer::Fleet& fleet, const std::string& name)
{
    const auto hosts = fleet.observe();
    const auto host = std::ranges::find(hosts, name, &deployer::ObservedHost::name);
    return host == hosts.end() ? std::string("no such host") : host->error;
}

/// What a host that was fenced brings back: the VM was made elsewhere meanwhile, and stays there.
int retire_old_copy(Context& context, const lineage::VmInfo& vm, const std::string& name)
{
    const auto entry = find_host_entry(context, name);
    if (entry.name == vm.host) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} belongs on host {}: that is no old copy", vm.name, vm.host),
                    "`stemma vm retire " + vm.name + " --yes` removes the VM itself");
    }
    const deployer::Fleet fleet(
        {find_host_entry(context, vm.host), entry}, connect_patience, context.cancel());
    auto* home = fleet.find(vm.host);
    auto* host = fleet.find(entry.name);
    if (home == nullptr || host == nullptr) {
        throw Error(ErrorCode::remote,
                    fmt::format("host {} cannot be reached: {}",
                                home == nullptr ? vm.host : entry.name,
                                reason_of(fleet, home == nullptr ? vm.host : entry.name)));
    }
    if (!host->look(vm.uuid)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("host {} has no copy of {}", entry.name, vm.name));
    }
    if (!home->look(vm.uuid)) {
        throw Error(ErrorCode::conflict,
                    fmt::format("host {} does not have {}: the copy on {} is the only one",
                                vm.host,
                                vm.name,
                                entry.name));
    }
    warn_of_left(context, vm, deployer::decommission(*host, vm.uuid, vm.name, stop_patience));
    record(context,
           "vm.changed",
           {{"uuid", vm.uuid},
            {"name", vm.name},
            {"what", "its old copy on host " + entry.name + " was removed"}});
    return 0;
}

int run_retire(Context& context, const Args& args)
{
    const auto old_copy_on = args.value("old-copy-on");
    const auto& names = args.expect_words(1, old_copy_on ? 1 : 10000, old_copy_on ? "VM" : "VM…");
    if (!args.has("yes")) {
        throw Error(ErrorCode::usage,
                    "this removes VMs with all their disks: " + join(names, ", "),
                    "say --yes if that is meant");
    }
    std::vector<lineage::VmInfo> vms;
    vms.reserve(names.size());
    for (const auto& name : names) {
        vms.push_back(find_vm(context, name));
    }
    if (old_copy_on) {
        return retire_old_copy(context, vms.front(), *old_copy_on);
    }
    bool all = true;
    for (const auto& vm : vms) {
        context.cancel().check();
        const deployer::Fleet fleet(
            {find_host_entry(context, vm.host)}, connect_patience, context.cancel());
        if (auto* host = fleet.find(vm.host)) {
            take_away(context, *host, vm);
        } else {
            condemn(context, vm, reason_of(fleet, vm.host));
            all = false;
        }
    }
    return all ? 0 : 4;
}

} // namespace

Command vm_retire_command()
{
    return {.name = "vm retire",
            .summary = "remove VMs with all their disks",
            .synopsis = "VM… --yes  |  VM --old-copy-on HOST --yes",
            .description =
                "The domain with its snapshots, checkpoints, managed save and NVRAM, and all files "
                "in its folder. Base images and the history stay, and so do disks of adopted VMs "
                "that lie elsewhere. What was interrupted is completed by the same command.\n\nA "
                "VM whose host cannot be reached becomes `condemned`: `stemma watch` removes it "
                "when the host is back, and so does this command when it is run again.",
            .options = {{.name = "yes", .value = "", .help = "it is meant"},
                        {.name = "old-copy-on",
                         .value = "HOST",
                         .help = "only what HOST still has of a VM that was made elsewhere while "
                                 "HOST was fenced (release apply --i-fenced)"}},
            .examples = {{"stemma vm retire shop-4 --yes", "For good."},
                         {"stemma vm retire shop-4 --old-copy-on rack2 --yes",
                          "The dead host is back, with what it had."}},
            .exits = "4 a host cannot be reached: its VMs are removed when it is back",
            .run = run_retire};
}

} // namespace stemma::cli
