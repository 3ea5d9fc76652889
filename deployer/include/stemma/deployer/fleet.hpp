#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/error.hpp"
#include "stemma/deployer/hypervisor.hpp"
#include "stemma/lineage/store.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace stemma::deployer {

/// A host as the lineage knows it, with what the deployer keeps in its labels.
struct HostEntry {
    std::string name;
    std::string uri;
    std::string folder;                        ///< for disks and sockets
    std::string accel;                         ///< kvm, qemu or test
    std::map<std::string, std::string> labels; ///< the user's own
};

/// Labels that are the deployer's own notes and no user's.
inline constexpr std::string_view folder_label = "stemma/folder";
inline constexpr std::string_view accel_label = "stemma/accel";

HostEntry entry_of(const lineage::HostInfo& info);

/// Connections to many hosts, opened at once: one that hangs delays nobody.
class Fleet {
public:
    /// patience  until a host that has not answered counts as unreachable
    Fleet(const std::vector<HostEntry>& hosts,
          std::chrono::milliseconds patience,
          const Cancel& cancel);

    /// nullptr for a host that cannot be reached.
    [[nodiscard]] Hypervisor* find(std::string_view name) const;
    [[nodiscard]] std::map<std::string, Hypervisor*> hosts() const;
    /// In order of name; unreachable ones with the reason.
    std::vector<ObservedHost> observe() const;

private:
    struct Slot {
        std::unique_ptr<Hypervisor> hypervisor;
        std::string error;
    };
    std::map<std::string, Slot, std::less<>> slots_;
};

/// Connects to one host.
/// throws  remote, config
std::unique_ptr<Hypervisor> connect_host(const HostEntry& host, const Cancel& cancel);

/// What guests of a host can run on: "kvm" when a guest really ran on it, else "qemu"; "test" for
/// libvirt's test driver. /dev/kvm may be there and not work, so a guest of one sector is started
/// and must switch itself off.
std::string probe_accel(const std::string& uri, const std::string& folder);

} // namespace stemma::deployer
