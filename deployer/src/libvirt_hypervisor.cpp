#include "stemma/deployer/libvirt_hypervisor.hpp"

#include "stemma/core/error.hpp"
#include "stemma/deployer/background.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/migrate.hpp"

#include <map>
#include <optional>
#include <thread>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

/// For the source of a migration whose target is cut off.
constexpr auto take_back_time = 30s;

std::vector<std::string> sources_of(const virt::DomainDescription& about)
{
    std::vector<std::string> sources;
    for (const auto& disk : about.disks) {
        if (!disk.source.empty()) {
            sources.push_back(disk.source);
        }
    }
    return sources;
}

ObservedVm observe_domain(const virt::Domain& domain)
{
    const auto status = domain.status();
    // What the next start will use is what a definition is compared with.
    const auto definition = domain.xml(virt::Domain::Which::next_start);
    const auto about = virt::describe_domain(definition);
    ObservedVm vm{.uuid = about.uuid,
                  .name = about.name,
                  .state = std::string(to_string(status.state)),
                  .reason = status.reason,
                  .release = about.release,
                  .image = about.image,
                  .spec = about.spec_digest,
                  .disks = sources_of(about),
                  .memory_mib = about.memory_mib,
                  .vcpus = about.vcpus};
    if (!about.xml_digest.empty()) {
        vm.edited = virt::definition_digest(definition) != about.xml_digest;
    }
    if (!about.release.empty()) {
        vm.snapshots = domain.snapshots();
        if (status.state == virt::DomainState::running) {
            vm.live_disks = sources_of(virt::describe_domain(domain.xml()));
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

/// By the paths on one host those on another.
std::map<std::string, std::string> moved_paths(const VmPaths& from, const VmPaths& to)
{
    std::map<std::string, std::string> moved{{from.system_disk, to.system_disk},
                                             {from.console, to.console},
                                             {from.channel, to.channel},
                                             {from.kernel, to.kernel},
                                             {from.initrd, to.initrd}};
    for (std::size_t i = 0; i < from.data_disks.size(); ++i) {
        moved.emplace(from.data_disks[i], to.data_disks.at(i));
    }
    moved.erase("");
    return moved;
}

/// Until the migration ends; or, where the target is cut off, until its source had time to take it
/// back. QEMU may not be able to before TCP gives up: then the call is left behind.
/// throws  what the migration throws; remote
void wait_for_move(Background<bool>& moving, const virt::Connection& target, const std::string& vm)
{
    std::optional<std::chrono::steady_clock::time_point> lost;
    while (!moving.wait_until(std::chrono::steady_clock::now() + 1s)) {
        const auto now = std::chrono::steady_clock::now();
        if (!lost && !target.alive()) {
            lost = now;
        }
        if (lost && now > *lost + take_back_time) {
            throw Error(ErrorCode::remote,
                        vm + ": the target is cut off, and the source's QEMU still holds what it "
                             "has to send there");
        }
    }
}

} // namespace

LibvirtHypervisor::LibvirtHypervisor(virt::Connection connection,
                                     std::unique_ptr<HostStore> store,
                                     Settings settings)
    : connection_(std::move(connection)), store_(std::move(store)), settings_(std::move(settings))
{
}

ObservedHost LibvirtHypervisor::observe()
{
    ObservedHost host;
    host.name = settings_.name;
    host.accel = settings_.accel;
    host.memory_mib =
        settings_.memory_mib != 0 ? settings_.memory_mib : connection_.facts().memory_mib;
    for (const auto& domain : connection_.domains()) {
        try {
            host.vms.push_back(observe_domain(domain));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_found) { // undefined since it was listed
                throw;
            }
        }
    }
    host.disks = store_->disks();
    host.changed_bases = store_->changed_bases();
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
    return store_->has_image(spec.image);
}

void LibvirtHypervisor::provide_image(const VmSpec& spec)
{
    store_->provide_image(spec.image);
    if (spec.boot) {
        store_->provide_boot_file(spec.boot->kernel, spec.boot->kernel_sha256, 0644);
        if (!spec.boot->initrd.empty()) {
            store_->provide_boot_file(spec.boot->initrd, spec.boot->initrd_sha256, 0644);
        }
    }
    if (spec.seed) { // it may hold secrets
        store_->provide_boot_file(spec.seed->path, spec.seed->sha256, 0600);
    }
}

std::vector<StoredBase> LibvirtHypervisor::bases()
{
    return store_->bases();
}

void LibvirtHypervisor::remove_base(const std::string& digest)
{
    for (const auto& base : store_->bases()) {
        if (base.digest == digest && !base.used_by.empty()) {
            throw Error(
                ErrorCode::conflict,
                fmt::format("base {} backs {}", digest.substr(0, 12), base.used_by.front()));
        }
    }
    store_->remove_base(digest);
}

void LibvirtHypervisor::make_disks(const VmSpec& spec)
{
    store_->make_disks(spec);
}

void LibvirtHypervisor::define(const VmSpec& spec)
{
    const auto xml = domain_xml(spec, store_->paths_of(spec), settings_.accel);
    doing(
        [&] {
            const auto domain = connection_.define(xml);
            // What libvirt made of it, so that an edit by others is seen as one.
            const auto digest =
                virt::definition_digest(domain.xml(virt::Domain::Which::next_start));
            domain.set_metadata(mark_element(spec, digest), "stemma", virt::metadata_space);
        },
        "defining {} on {}",
        spec.name,
        settings_.name);
}

/// A deployer that was killed may have asked for the same a moment ago, and libvirt is still at it:
/// then this call fails, and the VM runs.
static void until_it_runs(const virt::Domain& domain, void (virt::Domain::*act)() const)
{
    try {
        (domain.*act)();
    } catch (const Error&) {
        if (domain.status().state != virt::DomainState::running) {
            throw;
        }
    }
}

void LibvirtHypervisor::start(const std::string& uuid)
{
    const auto domain = connection_.find_by_uuid(uuid);
    if (!domain) {
        throw Error(ErrorCode::not_found, "host " + settings_.name + " does not know VM " + uuid);
    }
    const auto status = domain->status();
    switch (status.state) {
    case virt::DomainState::running:
        return;
    case virt::DomainState::paused:
        if (status.reason == virt::migrating_reason) {
            // Its other half may run: two would write to their disks.
            throw Error(ErrorCode::conflict,
                        domain->name() + " is being migrated, and was not touched",
                        "`stemma vm migrate " + domain->name() + " HOST` follows it to its end");
        }
        until_it_runs(*domain, &virt::Domain::resume);
        return;
    default:
        until_it_runs(*domain, &virt::Domain::start);
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

void LibvirtHypervisor::resume(const std::string& uuid)
{
    const auto domain = connection_.find_by_uuid(uuid);
    if (domain && domain->status().state == virt::DomainState::paused) {
        domain->resume();
    }
}

std::unique_ptr<Lease> LibvirtHypervisor::lease(const std::string& release)
{
    return store_->lease(release);
}

std::vector<std::string> LibvirtHypervisor::end_leases(const std::string& release)
{
    return store_->end_leases(release);
}

std::string LibvirtHypervisor::storage_id()
{
    return store_->id();
}

bool LibvirtHypervisor::is_migrating(const std::string& uuid)
{
    const auto domain = connection_.find_by_uuid(uuid);
    return domain && domain->active() && virt::job_progress(*domain).has_value();
}

Incoming LibvirtHypervisor::prepare_incoming(const VmSpec& spec, bool shared)
{
    if (connection_.find_by_uuid(spec.uuid) || connection_.find_by_name(spec.name)) {
        throw Error(ErrorCode::conflict,
                    fmt::format("host {} has a VM {} already", settings_.name, spec.name),
                    "look at both copies; `virsh undefine` the one that is out of date");
    }
    provide_image(spec);
    if (!shared) {
        // A former life's blocks would show through wherever the guest has not written since.
        for (const auto& disk : store_->disks()) {
            if (disk.vm == spec.name) {
                store_->remove_disk(disk.path);
            }
        }
        store_->make_disks(spec);
    }
    const auto paths = store_->paths_of(spec);
    const auto address = settings_.migrate_address.empty()
                             ? std::string(virt::split_uri(connection_.uri()).host)
                             : settings_.migrate_address;
    return {.uri = connection_.uri(),
            .data_address = address,
            .paths = paths,
            .persistent_xml = domain_xml(spec, paths, settings_.accel),
            .shared = shared};
}

void LibvirtHypervisor::migrate(const VmSpec& spec, const Incoming& incoming, bool peer_to_peer)
{
    const auto domain = connection_.find_by_uuid(spec.uuid);
    if (!domain) {
        throw Error(ErrorCode::not_found,
                    "host " + settings_.name + " does not know VM " + spec.name);
    }
    const auto here = store_->paths_of(spec);
    virt::MigrationRequest request{.live_xml = virt::with_paths(virt::migratable_xml(*domain),
                                                                moved_paths(here, incoming.paths)),
                                   .persistent_xml = incoming.persistent_xml,
                                   .disks = {},
                                   .data_address = incoming.data_address,
                                   .peer_uri = peer_to_peer ? incoming.uri : ""};
    for (std::size_t disk = 0; !incoming.shared && disk <= spec.data_disks.size(); ++disk) {
        request.disks.push_back(disk_target(disk));
    }
    // A connection of its own: while a migration runs, the other one answers questions.
    const virt::Connection target = virt::Connection::open(incoming.uri);
    Background<bool> moving([domain = *domain, target, request] {
        virt::migrate(domain, target, request);
        return true;
    });
    wait_for_move(moving, target, spec.name);
}

void LibvirtHypervisor::remove_disk(const std::string& path)
{
    store_->remove_disk(path);
}

void LibvirtHypervisor::forget(const std::string& vm_name)
{
    store_->forget(vm_name);
}

std::string LibvirtHypervisor::console(const VmSpec& spec) const
{
    return store_->paths_of(spec).console;
}

std::string LibvirtHypervisor::system_disk(const VmSpec& spec) const
{
    return store_->paths_of(spec).system_disk;
}

} // namespace stemma::deployer
