#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/deployer/host_store.hpp"
#include "stemma/deployer/hypervisor.hpp"
#include "stemma/virt/connection.hpp"

#include <memory>
#include <string>

namespace stemma::deployer {

/// One libvirt host, and the store of its VMs' files.
class LibvirtHypervisor final : public Hypervisor {
public:
    struct Settings {
        std::string name;
        std::string accel;              ///< kvm, qemu or test
        std::string migrate_address{};  ///< where other hosts reach its QEMU; empty: as in the URI
        std::uint64_t memory_mib = 0;   ///< that VMs may use; 0: all that the machine has
        const Cancel* cancel = nullptr; ///< borrowed; may be null
    };
    LibvirtHypervisor(virt::Connection connection,
                      std::unique_ptr<HostStore> store,
                      Settings settings);

    [[nodiscard]] const std::string& host() const noexcept override { return settings_.name; }
    ObservedHost observe() override;
    std::optional<ObservedVm> look(const std::string& uuid) override;
    std::unique_ptr<GuestPort> guest(const ObservedVm& vm,
                                     std::chrono::milliseconds patience) override;

    [[nodiscard]] bool can_provide(const VmSpec& spec) override;
    [[nodiscard]] std::vector<StoredBase> bases() override;
    [[nodiscard]] std::unique_ptr<Lease> lease(const std::string& release) override;
    std::vector<std::string> end_leases(const std::string& release) override;
    void remove_base(const std::string& digest) override;
    void provide_image(const VmSpec& spec) override;
    void make_disks(const VmSpec& spec) override;
    void define(const VmSpec& spec) override;
    void start(const std::string& uuid) override;
    void stop(const std::string& uuid, std::chrono::seconds patience) override;
    void undefine(const std::string& uuid) override;
    void remove_disk(const std::string& path) override;
    void forget(const std::string& vm_name) override;
    void resume(const std::string& uuid) override;
    [[nodiscard]] std::string storage_id() override;
    [[nodiscard]] bool is_migrating(const std::string& uuid) override;
    Incoming prepare_incoming(const VmSpec& spec, bool shared) override;
    void migrate(const VmSpec& spec, const Incoming& incoming, bool peer_to_peer) override;
    [[nodiscard]] std::string system_disk(const VmSpec& spec) const override;
    [[nodiscard]] std::string console(const VmSpec& spec) const override;

private:
    virt::Connection connection_;
    std::unique_ptr<HostStore> store_;
    Settings settings_;
};

/// Whoever answers inside a domain, wherever its host is: Stemma's helper if its channel is there,
/// else the QEMU guest agent.
/// throws  unsupported: the VM has neither channel; remote: nothing answers
std::unique_ptr<GuestPort>
open_guest(const virt::Domain& domain, std::chrono::milliseconds patience, const Cancel* cancel);

} // namespace stemma::deployer
