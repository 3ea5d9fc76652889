#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/deployer/hypervisor.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace stemma::support {

/// A host in memory that keeps the contract of deployer::Hypervisor, counts what changes it, and
/// fails where a test wants it to.
class FakeHypervisor final : public deployer::Hypervisor {
public:
    explicit FakeHypervisor(std::string name = "local")
        : storage("storage of " + name), name_(std::move(name))
    {
    }

    /// Every call that changes the host, in order: "define shop-1".
    std::vector<std::string> calls;
    /// Called before each such call; may throw.
    std::function<void(const std::string& call)> before;
    /// Images that answer wrongly from inside, by digest.
    std::set<std::string> bad_images;
    /// Images whose base has other content than it should.
    std::set<std::string> corrupt_images;
    std::set<std::string> missing_images;

    [[nodiscard]] const std::string& host() const noexcept override { return name_; }

    deployer::ObservedHost observe() override
    {
        deployer::ObservedHost host;
        host.name = name_;
        host.reachable = true;
        host.accel = "qemu";
        host.memory_mib = 1024;
        for (const auto& [uuid, vm] : vms_) {
            host.vms.push_back(vm);
        }
        for (const auto& path : disks_) {
            const auto slash = path.rfind('/');
            host.disks.push_back({.vm = path.substr(0, slash),
                                  .path = path,
                                  .data = path.substr(slash + 1).starts_with("data-")});
        }
        return host;
    }

    std::optional<deployer::ObservedVm> look(const std::string& uuid) override
    {
        const auto found = vms_.find(uuid);
        return found == vms_.end() ? std::nullopt : std::optional(found->second);
    }

    std::unique_ptr<deployer::GuestPort> guest(const deployer::ObservedVm& vm,
                                               std::chrono::milliseconds /*patience*/) override
    {
        const auto found = vms_.find(vm.uuid);
        if (found == vms_.end() || found->second.state != "running") {
            throw Error(ErrorCode::remote, "nobody answers in " + vm.name);
        }
        return std::make_unique<Inside>(bad_images.contains(found->second.image));
    }

    bool can_provide(const deployer::VmSpec& spec) override
    {
        return !missing_images.contains(spec.image.digest);
    }
    std::vector<deployer::StoredBase> bases() override
    {
        std::vector<deployer::StoredBase> found;
        for (const auto& digest : images_) {
            deployer::StoredBase base{.digest = digest, .bytes = 1, .used_by = {}};
            for (const auto& path : disks_) {
                if (path.ends_with("/system-" + digest.substr(0, 16) + ".qcow2")) {
                    base.used_by.push_back(path);
                }
            }
            found.push_back(std::move(base));
        }
        return found;
    }
    void remove_base(const std::string& digest) override
    {
        for (const auto& base : bases()) {
            if (base.digest == digest && !base.used_by.empty()) {
                throw Error(ErrorCode::conflict, "in use");
            }
        }
        change("remove base " + digest);
        images_.erase(digest);
    }
    void provide_image(const deployer::VmSpec& spec) override
    {
        change("image " + spec.name);
        if (corrupt_images.contains(spec.image.digest)) {
            throw Error(ErrorCode::corrupt, "base of " + spec.image.name);
        }
        images_.insert(spec.image.digest);
    }
    void make_disks(const deployer::VmSpec& spec) override
    {
        change("disks " + spec.name);
        if (!images_.contains(spec.image.digest)) {
            throw Error(ErrorCode::not_found, "no base " + spec.image.digest);
        }
        disks_.insert(system_disk(spec));
        for (const auto& disk : spec.data_disks) {
            disks_.insert(spec.name + "/data-" + disk.name + ".qcow2");
        }
    }
    void define(const deployer::VmSpec& spec) override
    {
        change("define " + spec.name);
        auto& vm = vms_[spec.uuid];
        if (!vm.uuid.empty() && vm.state == "running") {
            throw Error(ErrorCode::conflict, spec.name + " runs");
        }
        vm.uuid = spec.uuid;
        vm.name = spec.name;
        vm.state = "stopped";
        vm.release = spec.release;
        vm.image = spec.image.digest;
        vm.spec = deployer::spec_digest(spec);
        vm.disks = {system_disk(spec)};
    }
    void start(const std::string& uuid) override
    {
        change("start " + name_of(uuid));
        const auto found = vms_.find(uuid);
        if (found == vms_.end()) {
            throw Error(ErrorCode::not_found, "no VM " + uuid);
        }
        for (const auto& disk : found->second.disks) {
            if (!disks_.contains(disk)) {
                throw Error(ErrorCode::remote, "no disk " + disk);
            }
        }
        found->second.state = "running";
    }
    void stop(const std::string& uuid, std::chrono::seconds /*patience*/) override
    {
        change("stop " + name_of(uuid));
        if (const auto found = vms_.find(uuid); found != vms_.end()) {
            found->second.state = "stopped";
        }
    }
    void undefine(const std::string& uuid) override
    {
        change("undefine " + name_of(uuid));
        vms_.erase(uuid);
    }
    void remove_disk(const std::string& path) override
    {
        change("remove " + path);
        for (const auto& [uuid, vm] : vms_) {
            if (vm.state == "running" && std::ranges::find(vm.disks, path) != vm.disks.end()) {
                throw Error(ErrorCode::conflict, path + " is in use");
            }
        }
        disks_.erase(path);
    }
    void forget(const std::string& vm_name) override { change("forget " + vm_name); }
    void resume(const std::string& uuid) override
    {
        change("resume " + name_of(uuid));
        vms_.at(uuid).state = "running";
    }
    [[nodiscard]] std::unique_ptr<deployer::Lease> lease(const std::string& /*release*/) override
    {
        return on_lease ? on_lease() : nullptr;
    }
    [[nodiscard]] std::string storage_id() override { return storage; }
    [[nodiscard]] bool is_migrating(const std::string& uuid) override
    {
        return migrating.contains(uuid);
    }
    deployer::Incoming prepare_incoming(const deployer::VmSpec& spec, bool shared) override
    {
        if (vms_.contains(spec.uuid)) {
            throw Error(ErrorCode::conflict, name_ + " has it already");
        }
        provide_image(spec);
        if (!shared) {
            make_disks(spec);
        }
        return {
            .uri = name_, .data_address = {}, .paths = {}, .persistent_xml = {}, .shared = shared};
    }
    void migrate(const deployer::VmSpec& spec,
                 const deployer::Incoming& incoming,
                 bool /*peer_to_peer*/) override
    {
        change("migrate " + spec.name + " to " + incoming.uri);
        if (on_migrate) {
            on_migrate(spec);
        }
    }

    /// The word that a deployer works here; none by itself.
    std::function<std::unique_ptr<deployer::Lease>()> on_lease;
    /// What a migration does to the two hosts, for tests that say; may throw.
    std::function<void(const deployer::VmSpec& spec)> on_migrate;
    std::set<std::string> migrating; ///< uuids of which memory moves
    std::string storage;             ///< two hosts with the same see the same files

    [[nodiscard]] std::string system_disk(const deployer::VmSpec& spec) const override
    {
        return spec.name + "/system-" + spec.image.digest.substr(0, 16) + ".qcow2";
    }

    [[nodiscard]] std::string console(const deployer::VmSpec& spec) const override
    {
        return spec.name + "/console.log";
    }

    // What somebody else does to the host.
    void kill(const std::string& uuid) { vms_.at(uuid).state = "stopped"; }
    deployer::ObservedVm take(const std::string& uuid)
    {
        auto vm = vms_.at(uuid);
        vms_.erase(uuid);
        return vm;
    }
    void add(deployer::ObservedVm vm) { vms_[vm.uuid] = std::move(vm); }
    void add_disk(const std::string& path) { disks_.insert(path); }
    [[nodiscard]] const std::set<std::string>& disks() const noexcept { return disks_; }

private:
    class Inside final : public deployer::GuestPort {
    public:
        explicit Inside(bool bad) : bad_(bad) {}
        [[nodiscard]] std::string helper() const override { return "fake"; }
        Json info() override { return {{"boot_id", "b"}}; }
        deployer::GuestFile digest(const std::string& path) override
        {
            return {.sha256 = sha256(bad_ ? "bad" : path).hex(), .size = 1, .mode = 0644};
        }
        deployer::GuestExit exec(const std::vector<std::string>& argv,
                                 std::chrono::milliseconds /*patience*/,
                                 const Sink& sink) override
        {
            sink(false, argv.front() + "\n");
            return {.code = bad_ ? 1 : 0};
        }
        deployer::GuestFile read(const std::string& path,
                                 const std::function<void(std::string_view)>& /*sink*/) override
        {
            return digest(path);
        }
        deployer::GuestFile write(const std::string& path,
                                  std::uint32_t /*mode*/,
                                  const std::function<std::string()>& /*next*/) override
        {
            return digest(path);
        }
        std::string tcp(const TcpProbe& probe) override
        {
            return bad_ ? "wrong" : "echo " + probe.send;
        }

    private:
        bool bad_;
    };

    void change(const std::string& call)
    {
        if (before) {
            before(call);
        }
        calls.push_back(call);
    }
    std::string name_of(const std::string& uuid)
    {
        const auto found = vms_.find(uuid);
        return found == vms_.end() ? uuid : found->second.name;
    }

    std::string name_;
    std::map<std::string, deployer::ObservedVm> vms_;
    std::set<std::string> disks_;
    std::set<std::string> images_;
};

} // namespace stemma::support
