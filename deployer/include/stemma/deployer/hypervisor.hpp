#pragma once

#include "stemma/deployer/guest_port.hpp"
#include "stemma/deployer/spec.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// One VM as its host shows it.
struct ObservedVm {
    std::string uuid;
    std::string name;
    std::string state;  ///< running, paused, stopped, crashed, unknown
    std::string reason; ///< libvirt's, in words
    // From our mark in the domain's metadata; empty in others' VMs.
    std::string release;
    std::string image;
    std::string spec;
    std::vector<std::string> disks; ///< paths, in the domain's order
    std::uint64_t memory_mib = 0;
    unsigned vcpus = 0;
};

/// One host as it is now.
struct ObservedHost {
    std::string name;
    bool reachable = false;
    std::string error; ///< why not
    std::string accel; ///< what its guests run on: kvm, qemu, test
    std::uint64_t memory_mib = 0;
    std::vector<ObservedVm> vms;
    /// Disk files in our folders of this host, by VM name; also of VMs that are gone.
    struct DiskFile {
        std::string vm;
        std::string path;
        bool data = false; ///< a data disk: kept until the VM is retired
    };
    std::vector<DiskFile> disks;
};

/// What the deployer does to one host. Implementations: libvirt's, and a fake in tests; the same
/// contract tests run on both. Every call is idempotent: repeating one that was interrupted, or
/// that had been done already, ends in the same state.
class Hypervisor {
public:
    virtual ~Hypervisor() = default;
    Hypervisor() = default;
    Hypervisor(const Hypervisor&) = delete;
    Hypervisor& operator=(const Hypervisor&) = delete;

    [[nodiscard]] virtual const std::string& host() const noexcept = 0;

    /// Changes nothing.
    virtual ObservedHost observe() = 0;
    /// One VM's state; nullopt when the host does not know it. Changes nothing.
    virtual std::optional<ObservedVm> look(const std::string& uuid) = 0;
    /// The inside of a running VM; waits for its helper.
    /// throws  remote: nothing answers within `patience`
    virtual std::unique_ptr<GuestPort> guest(const ObservedVm& vm,
                                             std::chrono::milliseconds patience) = 0;

    /// The spec's image is in the host's store or can be brought there. Changes nothing, proves
    /// nothing.
    [[nodiscard]] virtual bool can_provide(const VmSpec& spec) = 0;

    // From here on: calls that change the host.

    /// Brings a base image and boot files into the host's store and proves the digest, unless this
    /// very file was proven before and did not change since.
    /// throws  corrupt: its content is not what the lineage says
    virtual void provide_image(const VmSpec& spec) = 0;
    /// The system overlay on the image (kept when there is one already) and missing data disks.
    virtual void make_disks(const VmSpec& spec) = 0;
    /// Makes the domain, or gives it this definition; a running one must be stopped first.
    virtual void define(const VmSpec& spec) = 0;
    virtual void start(const std::string& uuid) = 0;
    /// Asks the guest to power off, waits, then pulls the plug. A stopped or unknown VM is fine.
    virtual void stop(const std::string& uuid, std::chrono::seconds patience) = 0;
    /// The domain with all that libvirt keeps of it. An unknown one is fine.
    virtual void undefine(const std::string& uuid) = 0;
    /// A file that observe() listed; one that is gone is fine.
    virtual void remove_disk(const std::string& path) = 0;
    /// The emptied folder and logs of a VM that is gone.
    virtual void forget(const std::string& vm_name) = 0;
    /// Path that make_disks() gives the system overlay of this spec.
    [[nodiscard]] virtual std::string system_disk(const VmSpec& spec) const = 0;
    /// Where the VM's serial console is written.
    [[nodiscard]] virtual std::string console(const VmSpec& spec) const = 0;
};

} // namespace stemma::deployer
