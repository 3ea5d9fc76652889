#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/error.hpp"
#include "stemma/deployer/hypervisor.hpp"
#include "stemma/lineage/store.hpp"
#include "stemma/virt/connection.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace stemma::deployer {

/// A host as the lineage knows it, with what the deployer keeps in its labels.
struct HostEntry {
    std::string name;
    std::string uri;
    std::string folder; ///< for disks and sockets, on the host
    std::string pool;   ///< its storage pool; empty: the folder is on this machine, without one
    std::string accel;  ///< kvm, qemu or test
    std::string migrate_address;       ///< where other hosts reach its QEMU; empty: as in the URI
    std::uint64_t memory_mib = 0;      ///< that VMs may use; 0: all that the machine has
    std::chrono::seconds keepalive{2}; ///< a dead link is noticed after three of these
    std::chrono::seconds deadline{20}; ///< for every call that a working host answers at once
    bool drained = false;              ///< in maintenance: nothing new goes there
    std::map<std::string, std::string> labels; ///< the user's own
};

/// Labels that are the deployer's own notes begin with this; no user's do.
inline constexpr std::string_view own_labels = "stemma/";

HostEntry entry_of(const lineage::HostInfo& info);
/// All labels, the deployer's notes included; entry_of() reads them back.
Json labels_of(const HostEntry& entry);

/// Connections to many hosts, opened and asked at once: one that hangs delays nobody.
class Fleet {
public:
    /// patience  until a host that has not answered counts as unreachable; a host's own deadline
    ///           counts where it is shorter
    Fleet(const std::vector<HostEntry>& hosts,
          std::chrono::milliseconds patience,
          const Cancel& cancel);

    /// nullptr for a host that cannot be reached.
    [[nodiscard]] Hypervisor* find(std::string_view name) const;
    [[nodiscard]] std::map<std::string, Hypervisor*> hosts() const;
    /// In order of name; unreachable ones with the reason.
    std::vector<ObservedHost> observe() const;

    /// Every host's lease that there is to take; hosts that do not answer are left out.
    /// throws  conflict: as Hypervisor::lease(); then none is kept
    [[nodiscard]] std::vector<std::unique_ptr<Lease>> lease(const std::string& release) const;
    /// Takes the leases of a release away from whoever has them, on all hosts at once.
    /// returns  by host, in order of name: the owners in words, or why it did not answer
    [[nodiscard]] std::vector<Outcome<std::vector<std::string>>>
    end_leases(const std::string& release) const;

private:
    struct Slot {
        std::shared_ptr<Hypervisor> hypervisor;
        std::string error;
        std::chrono::milliseconds deadline{};
        bool drained = false;
    };
    std::map<std::string, Slot, std::less<>> slots_;
    const Cancel& cancel_;
};

/// A connection as the host's entry wants it.
/// throws  remote
virt::Connection open_connection(const HostEntry& host);
/// The same, given up after the host's deadline (a stopped daemon accepts and never answers).
virt::Connection open_in_time(const HostEntry& host, const Cancel& cancel);
/// The host behind a connection, without deadlines.
std::unique_ptr<Hypervisor>
hypervisor_over(virt::Connection connection, const HostEntry& host, const Cancel& cancel);

/// Connects to one host; its calls have its deadline.
/// throws  remote, config
std::unique_ptr<Hypervisor> connect_host(const HostEntry& host, const Cancel& cancel);

/// What guests of a host can run on: "kvm" when a guest really ran on it, else "qemu"; "test" for
/// libvirt's test driver. /dev/kvm may be there and not work, so a guest of one sector is started
/// and must switch itself off.
std::string probe_accel(const HostEntry& host);

} // namespace stemma::deployer
