#include "stemma/deployer/libvirt_hypervisor.hpp"

#include "stemma/core/error.hpp"
#include "stemma/virt/domain_xml.hpp"

#include <thread>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

ObservedVm observe_domain(const virt::Domain& domain)
{
    const auto status = domain.status();
    // What the next start will use is what a definition is compared with.
    const auto about = virt::describe_domain(domain.xml(virt::Domain::Which::next_start));
    ObservedVm vm{.uuid = about.uuid,
                  .name = about.name,
                  .state = std::string(to_string(status.state)),
                  .reason = status.reason,
                  .release = about.release,
                  .image = about.image,
                  .spec = about.spec_digest,
                  .disks = {},
                  .memory_mib = about.memory_mib,
                  .vcpus = about.vcpus};
    for (const auto& disk : about.disks) {
        if (!disk.source.empty()) {
            vm.disks.push_back(disk.source);
        }
    }
    return vm;
}

/// By ACPI, and by the helper where it answers at once: small images have nobody who listens to
/// the power button.
void ask_to_stop(const virt::Domain& domain, const Cancel* cancel)
{
    domain.ask_to_stop();
    try {
        const auto guest = open_guest(domain, 1s, cancel);
        (void)guest->exec({"/sbin/poweroff"}, 5s, [](bool, std::string_view) {});
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        // Nobody there, or gone before it could answer: the power button remains, then the plug.
    }
}

} // namespace

LibvirtHypervisor::LibvirtHypervisor(virt::Connection connection,
                                     HostStore store,
                                     Settings settings)
    : connection_(std::move(connection)), store_(std::move(store)), settings_(std::move(settings))
{
}

ObservedHost LibvirtHypervisor::observe()
{
    ObservedHost host;
    host.name = settings_.name;
    host.accel = settings_.accel;
    host.memory_mib = connection_.facts().memory_mib;
    for (const auto& domain : connection_.domains()) {
        try {
            host.vms.push_back(observe_domain(domain));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_found) { // undefined since it was listed
                throw;
            }
        }
    }
    host.disks = store_.disks();
    host.reachable = true;
    return host;
}

std::optional<ObservedVm> LibvirtHypervisor::look(const std::string& uuid)
{
    const auto domain = connection_.find_by_uuid(uuid);
    return domain ? std::optional(observe_domain(*domain)) : std::nullopt;
}

std::unique_ptr<GuestPort> LibvirtHypervisor::guest(const ObservedVm& vm,
                                                    std::chrono::milliseconds patience)
{
    const auto domain = connection_.find_by_uuid(vm.uuid);
    if (!domain) {
        throw Error(ErrorCode::not_found, "host " + settings_.name + " does not know " + vm.name);
    }
    return open_guest(*domain, patience, settings_.cancel);
}

bool LibvirtHypervisor::can_provide(const VmSpec& spec)
{
    return store_.has_image(spec.image);
}

void LibvirtHypervisor::provide_image(const VmSpec& spec)
{
    store_.provide_image(spec.image);
    if (spec.boot) {
        store_.provide_boot_file(spec.boot->kernel, spec.boot->kernel_sha256);
        if (!spec.boot->initrd.empty()) {
            store_.provide_boot_file(spec.boot->initrd, spec.boot->initrd_sha256);
        }
    }
}

void LibvirtHypervisor::make_disks(const VmSpec& spec)
{
    store_.make_disks(spec);
}

void LibvirtHypervisor::define(const VmSpec& spec)
{
    const auto xml = domain_xml(spec, store_.paths_of(spec), settings_.accel);
    doing([&] { (void)connection_.define(xml); }, "defining {} on {}", spec.name, settings_.name);
}

void LibvirtHypervisor::start(const std::string& uuid)
{
    const auto domain = connection_.find_by_uuid(uuid);
    if (!domain) {
        throw Error(ErrorCode::not_found, "host " + settings_.name + " does not know VM " + uuid);
    }
    switch (domain->status().state) {
    case virt::DomainState::running:
        return;
    case virt::DomainState::paused:
        domain->resume();
        return;
    default:
        domain->start();
    }
}

void LibvirtHypervisor::stop(const std::string& uuid, std::chrono::seconds patience)
{
    const auto domain = connection_.find_by_uuid(uuid);
    if (!domain || !domain->active()) {
        return;
    }
    const auto deadline = std::chrono::steady_clock::now() + patience;
    if (patience > 0s && domain->status().state == virt::DomainState::running) {
        ask_to_stop(*domain, settings_.cancel);
        while (domain->active() && std::chrono::steady_clock::now() < deadline) {
            if (settings_.cancel != nullptr) {
                settings_.cancel->check();
            }
            std::this_thread::sleep_for(100ms);
        }
    }
    domain->destroy();
}

void LibvirtHypervisor::undefine(const std::string& uuid)
{
    if (const auto domain = connection_.find_by_uuid(uuid)) {
        domain->undefine();
    }
}

void LibvirtHypervisor::remove_disk(const std::string& path)
{
    store_.remove_disk(path);
}

void LibvirtHypervisor::forget(const std::string& vm_name)
{
    store_.forget(vm_name);
}

std::string LibvirtHypervisor::console(const VmSpec& spec) const
{
    return store_.paths_of(spec).console;
}

std::string LibvirtHypervisor::system_disk(const VmSpec& spec) const
{
    return store_.paths_of(spec).system_disk;
}

} // namespace stemma::deployer
