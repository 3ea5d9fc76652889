#pragma once

#include "stemma/deployer/guest_port.hpp"
#include "stemma/deployer/lease.hpp"
#include "stemma/deployer/spec.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// State in the lineage of a VM that is to be removed as soon as its host is back.
inline constexpr std::string_view condemned_state = "condemned";

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
    /// Its definition is not any more what it was made with; false where we never noted that.
    bool edited = false;
    std::vector<std::string>
        live_disks{}; ///< what it reads and writes now; empty when it stands still
    std::vector<std::string> snapshots{}; ///< names, as libvirt keeps them
};

/// One host as it is now.
struct ObservedHost {
    std::string name;
    bool reachable = false;
    std::string error;    ///< why not
    bool drained = false; ///< in maintenance: nothing new goes there
    bool fenced = false;  ///< cannot be reached, and a person says that nothing runs there
    std::string accel;    ///< what its guests run on: kvm, qemu, test
    std::uint64_t memory_mib = 0;
    std::vector<ObservedVm> vms;
    /// Disk files in our folders of this host, by VM name; also of VMs that are gone.
    struct DiskFile {
        std::string vm;
        std::string path;
        bool data = false; ///< a data disk, or a stranger's file: kept until the VM is retired
    };
    std::vector<DiskFile> disks;
    /// Digests of images whose base file was written to since it was last proven.
    std::vector<std::string> changed_bases{};
};

/// A base image in a host's store.
struct StoredBase {
    std::string digest;
    std::uint64_t bytes = 0; ///< that it takes there
    std::vector<std::string>
        used_by; ///< files whose content lies on it, also of VMs of other hosts
};

/// Where a VM that comes from another host will arrive.
struct Incoming {
    std::string uri;            ///< of the target's daemon
    std::string data_address;   ///< where its QEMU is reached; empty: the daemon says
    VmPaths paths;              ///< of the VM's files there
    std::string persistent_xml; ///< what its next start will use there
    bool shared = false;        ///< both hosts see the same files
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

    /// Base images in the host's store, in order of digest. Changes nothing.
    [[nodiscard]] virtual std::vector<StoredBase> bases() = 0;

    // From here on: calls that change the host.

    /// Nobody else works on this release here while the answer lives. nullptr: this process has
    /// that already, or the host's files are on this machine and their own lock tells.
    /// throws  conflict: another deployer does, which is not known to be dead
    [[nodiscard]] virtual std::unique_ptr<Lease> lease(const std::string& /*release*/)
    {
        return nullptr;
    }
    /// Takes that away from whoever has it; returns the owners in words.
    virtual std::vector<std::string> end_leases(const std::string& /*release*/) { return {}; }

    /// throws  conflict: a file lies on it
    virtual void remove_base(const std::string& digest) = 0;

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
    /// Goes on with a paused VM, also one that a migration left paused.
    virtual void resume(const std::string& uuid) = 0;

    // Migration; Migrator decides when.

    /// Hosts whose VMs' files are the same storage give the same text.
    [[nodiscard]] virtual std::string storage_id() = 0;
    /// Memory of this VM moves at this moment. Changes nothing.
    [[nodiscard]] virtual bool is_migrating(const std::string& uuid) = 0;
    /// On the target: proves the base, and makes the VM's disks, empty; old ones of this VM are
    /// removed before. With shared storage nothing is made.
    /// throws  conflict: this host has a VM of this name or uuid; corrupt: the base
    virtual Incoming prepare_incoming(const VmSpec& spec, bool shared) = 0;
    /// On the source: moves a running VM. Whatever it throws, the VM may be on either host.
    /// peer_to_peer  the daemons do it among themselves and go on when this process dies
    virtual void migrate(const VmSpec& spec, const Incoming& incoming, bool peer_to_peer) = 0;

    /// Path that make_disks() gives the system overlay of this spec.
    [[nodiscard]] virtual std::string system_disk(const VmSpec& spec) const = 0;
    /// Where the VM's serial console is written.
    [[nodiscard]] virtual std::string console(const VmSpec& spec) const = 0;
};

} // namespace stemma::deployer
