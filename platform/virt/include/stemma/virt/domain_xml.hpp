#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stemma::virt {

struct DiskInfo {
    std::string target; ///< "vda"
    std::string device; ///< disk, cdrom, floppy
    std::string type;   ///< file, block, network, …
    std::string source; ///< path for file and block; empty otherwise
    std::string format; ///< qcow2, raw
    bool read_only = false;
};

struct ChannelInfo {
    std::string name;  ///< "org.stemma.guest.0"
    std::string path;  ///< the host's socket; empty when libvirt has not chosen one yet
    std::string state; ///< "connected" while a guest program has it open; empty when unknown
};

struct InterfaceInfo {
    std::string type; ///< user, network, bridge, …
    std::string source;
    std::string mac;
};

/// What Stemma needs to know of a domain.
struct DomainDescription {
    std::string name;
    std::string uuid;
    std::string type; ///< kvm, qemu, test, …
    std::uint64_t memory_mib = 0;
    unsigned vcpus = 0;
    std::vector<DiskInfo> disks;
    std::vector<ChannelInfo> channels;
    std::vector<InterfaceInfo> interfaces;
    // From Stemma's own metadata; empty in a domain that others made.
    std::string release;
    std::string image;       ///< digest of the base of its system disk
    std::string spec_digest; ///< of the wanted state that this domain was made from
    std::string xml_digest;  ///< of that domain's stable parts, as libvirt gave them back
};

/// Namespace of the metadata element <stemma:vm release= image= spec= />.
inline constexpr const char* metadata_space = "https://stemma.dev/ns/vm/1";

/// sha256 of a domain's XML without its metadata, its id and the blanks between elements: equal as
/// long as nobody changed the definition.
/// throws  corrupt
std::string definition_digest(const std::string& xml);

/// throws  corrupt: not a domain's XML
DomainDescription describe_domain(const std::string& xml);

} // namespace stemma::virt
