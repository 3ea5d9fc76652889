#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/deployer/decommission.hpp"

#include "deploy_support.hpp"
#include "vm_life.hpp"

namespace stemma::cli {

namespace {

using namespace std::chrono_literals;

/// The host has it no more; nothing of the record goes.
void take_away(Context& context, deployer::Hypervisor& host, const lineage::VmInfo& vm)
{
    const auto left = deployer::decommission(host, vm.uuid, vm.name, 20s);
    for (const auto& disk : left) {
        context.log().warning(
            "{}: its disk {} is not in its host's folder and stays", vm.name, disk);
    }
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

std::string reason_of(const deployer::Fleet& fleet)
{
    const auto hosts = fleet.observe();
    return hosts.empty() ? std::string("no such host") : hosts.front().error;
}

int run_retire(Context& context, const Args& args)
{
    const auto& names = args.expect_words(1, 10000, "VM…");
    if (!args.has("yes")) {
        throw Error(ErrorCode::usage,
                    "this removes VMs with all their disks: " + join(names, ", "),
                    "say --yes if that is meant");
    }
    std::vector<lineage::VmInfo> vms;
    for (const auto& name : names) {
        vms.push_back(find_vm(context, name));
    }
    bool all = true;
    for (const auto& vm : vms) {
        context.cancel().check();
        const deployer::Fleet fleet(
            {find_host_entry(context, vm.host)}, connect_patience, context.cancel());
        if (auto* host = fleet.find(vm.host)) {
            take_away(context, *host, vm);
        } else {
            condemn(context, vm, reason_of(fleet));
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
            .synopsis = "VM… --yes",
            .description =
                "The domain with its snapshots, checkpoints, managed save and NVRAM, and all files "
                "in its folder. Base images and the history stay, and so do disks of adopted VMs "
                "that lie elsewhere. What was interrupted is completed by the same command.\n\nA "
                "VM whose host cannot be reached becomes `condemned`: `stemma watch` removes it "
                "when the host is back, and so does this command when it is run again.",
            .options = {{.name = "yes", .value = "", .help = "it is meant"}},
            .examples = {{"stemma vm retire shop-4 --yes", "For good."}},
            .exits = "4 a host cannot be reached: its VMs are removed when it is back",
            .run = run_retire};
}

} // namespace stemma::cli
