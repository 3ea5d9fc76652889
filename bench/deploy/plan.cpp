// What a plan costs: 500 VMs that libvirt's test driver has, looked at and planned, and 1,000 VMs
// on 50 hosts planned. Processor time of this process and its largest memory.
//
//     bench_deploy

#include "stemma/deployer/plan.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/file.hpp"
#include "stemma/deployer/libvirt_hypervisor.hpp"

#include <fmt/format.h>

#include <sys/resource.h>

#include <ctime>

using namespace stemma;
using namespace stemma::deployer;

namespace {

double processor_seconds()
{
    std::timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

long largest_mib()
{
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

Release release_of(unsigned count)
{
    Release release;
    release.name = "bench";
    for (unsigned i = 0; i < count; ++i) {
        VmWanted vm;
        vm.name = fmt::format("web-{:04}", i);
        vm.image = "golden";
        vm.group = "web";
        vm.memory_mib = 64;
        vm.network = "none";
        vm.spread = "rack";
        release.vms.push_back(std::move(vm));
    }
    return release;
}

Resolved images()
{
    Resolved resolved;
    resolved.images["golden"] = {.name = "golden",
                                 .digest = sha256("golden").hex(),
                                 .path = "/golden.qcow2",
                                 .format = "qcow2",
                                 .size = 1024};
    return resolved;
}

void plan_on_test_driver(unsigned count)
{
    const TemporaryFolder folder("bench");
    LibvirtHypervisor host(virt::Connection::open("test:///default"),
                           std::make_unique<FolderStore>(folder.path() / "host", DiskDigester()),
                           {.name = "h", .accel = "test", .cancel = nullptr});
    const auto release = release_of(count);
    World world;
    world.host_labels["h"] = {};
    world.hosts = {host.observe()};
    for (const auto& vm : make_plan(release, images(), world).vms) {
        host.define(vm.spec);
        host.start(vm.spec.uuid);
    }
    const auto before = processor_seconds();
    world.hosts = {host.observe()};
    const auto looked = processor_seconds();
    const auto plan = make_plan(release, images(), world);
    const auto planned = processor_seconds();
    fmt::print(
        "{} VMs of the test driver: looked at in {:.3f} s, planned in {:.3f} s ({} to verify)\n",
        count,
        looked - before,
        planned - looked,
        plan.vms.size());
}

void plan_on_many_hosts(unsigned count, unsigned hosts)
{
    World world;
    for (unsigned i = 0; i < hosts; ++i) {
        ObservedHost host;
        host.name = fmt::format("h{:03}", i);
        host.reachable = true;
        host.memory_mib = 65536;
        world.host_labels[host.name] = {{"rack", std::to_string(i % 5)}};
        world.hosts.push_back(std::move(host));
    }
    const auto before = processor_seconds();
    const auto plan = make_plan(release_of(count), images(), world);
    const auto planned = processor_seconds();
    const auto text = to_json(plan).dump();
    fmt::print("{} VMs on {} hosts: planned in {:.3f} s, as JSON in {:.3f} s ({} KiB)\n",
               count,
               hosts,
               planned - before,
               processor_seconds() - planned,
               text.size() / 1024);
}

} // namespace

int main()
{
    plan_on_test_driver(500);
    plan_on_many_hosts(1000, 50);
    fmt::print("largest memory: {} MiB\n", largest_mib());
}
