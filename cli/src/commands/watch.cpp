#include "watch.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/deployer/watch.hpp"

#include <set>

#include "deploy_support.hpp"

namespace stemma::cli {

namespace {

deployer::RecordedVms recorded_vms(Context& context)
{
    deployer::RecordedVms recorded;
    for (const auto& vm : context.store(lineage::Store::Mode::write).vms()) {
        if (!vm.release.empty()) {
            recorded[vm.uuid] = {.name = vm.name,
                                 .host = vm.host,
                                 .image = vm.image,
                                 .release = vm.release,
                                 .state = vm.state};
        }
    }
    return recorded;
}

/// Specs in force of every release that has live VMs.
std::vector<deployer::VmSpec> specs_in_force(Context& context)
{
    std::set<std::string> releases;
    for (const auto& vm : context.store().vms()) {
        releases.insert(vm.release);
    }
    std::vector<deployer::VmSpec> specs;
    for (const auto& release : releases) {
        const auto applied = deployer::applied_releases(context.store().release_events(release));
        if (!applied.empty()) {
            specs.insert(specs.end(), applied.back().specs.begin(), applied.back().specs.end());
        }
    }
    return specs;
}

int show_drift(Context& context, bool with_foreign)
{
    const deployer::Fleet fleet(host_entries(context), std::chrono::seconds(20), context.cancel());
    const auto hosts = fleet.observe();
    Answer answer{
        .schema = "stemma.drift/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    for (const auto& drift : deployer::find_drift(hosts, specs_in_force(context), with_foreign)) {
        answer.items.push_back({{"host", drift.host},
                                {"vm", drift.vm},
                                {"kind", drift.kind},
                                {"expected", drift.expected},
                                {"actual", drift.actual}});
    }
    for (const auto& host : hosts) {
        if (!host.reachable) {
            answer.gaps.push_back({.what = "host " + host.name, .reason = host.error});
        }
    }
    const bool differs = !answer.items.empty();
    const int status = show(context,
                            answer,
                            {{.title = "HOST", .member = "host"},
                             {.title = "VM", .member = "vm"},
                             {.title = "DRIFT", .member = "kind"},
                             {.title = "EXPECTED", .member = "expected"},
                             {.title = "ACTUAL", .member = "actual"}});
    return status != 0 ? status : differs ? 3 : 0;
}

int run_watch(Context& context, const Args& args)
{
    (void)args.expect_words(0, 0, "");
    const auto interval = args.number("interval", 1, 86400).value_or(30);
    deployer::Watcher watcher(host_entries(context),
                              {.recorder = context.store(lineage::Store::Mode::write),
                               .recorded = [&] { return recorded_vms(context); },
                               .clock = context.clock(),
                               .log = context.log(),
                               .cancel = context.cancel()});
    if (args.has("once")) {
        watcher.look_once();
        return show_drift(context, args.has("foreign"));
    }
    watcher.run(std::chrono::seconds(interval));
    return 0;
}

} // namespace

Command watch_command()
{
    return {
        .name = "watch",
        .summary = "follow the hosts, and record what happens to their VMs",
        .synopsis = "[--interval SECONDS] [--once [--foreign]]",
        .description =
            "Registers for every host's events, looks at all VMs, and records each change of state "
            "with its reason: powered off, destroyed, panicked, hypervisor died, rebooted, … A "
            "host that is lost makes its VMs unknown until it is back. Events are only hints: "
            "everything is compared again every 30 seconds.\n\nWith --once it looks once, then "
            "prints how the hosts differ from the releases in force: missing, stopped, renamed, "
            "elsewhere, foreign, another image, definition, memory, CPUs or disks.",
        .options = {{.name = "interval", .value = "SECONDS", .help = "between full looks (30)"},
                    {.name = "once", .value = "", .help = "look once and print the drift"},
                    {.name = "foreign",
                     .value = "",
                     .help = "with --once: also VMs that are not ours"}},
        .examples = {{"stemma watch", "Until ^C; as a service: stemma-watch.service."},
                     {"stemma watch --once", "Is everything as it was applied?"}},
        .exits = "3 with --once: drift was found; 4 a host could not be asked",
        .run = run_watch};
}

} // namespace stemma::cli
