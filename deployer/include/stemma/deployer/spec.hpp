#pragma once

#include "stemma/core/json.hpp"
#include "stemma/deployer/release.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// A base image, found in the lineage.
struct ImageRef {
    std::string name;
    std::string digest; ///< of the virtual disk; 64 digits
    std::string path;   ///< on the machine of the deployer
    std::string format; ///< qcow2, raw
    std::uint64_t size = 0;
    /// Images that are much like it, likest first: where a host has one of them, only the
    /// difference is sent. Not part of what the image is; may be empty.
    std::vector<ImageRef> kin{};
};

/// Kernel and initrd by content, so that the same names with other bytes are another spec.
struct ResolvedBoot {
    std::string kernel;
    std::string kernel_sha256;
    std::string initrd;
    std::string initrd_sha256;
    std::string cmdline;
};

/// A cloud-init seed disk by content. It may hold secrets: the lineage gets the digest alone.
struct ResolvedSeed {
    std::string path; ///< on the machine of the deployer; readable by its owner only
    std::string sha256;
};

/// Everything that decides how one VM is made, with nothing left to look up.
struct VmSpec {
    std::string uuid; ///< version 5, of release and name
    std::string name;
    std::string release;
    std::string host;
    ImageRef image;
    std::uint64_t memory_mib = 0;
    unsigned vcpus = 0;
    std::string network;
    std::vector<NetworkCard> networks; ///< when not empty: these, instead of `network`
    std::uint64_t system_disk_mib = 0; ///< 0: as large as the image
    std::optional<ResolvedBoot> boot;
    std::vector<DataDisk> data_disks;
    std::optional<ResolvedSeed> seed;
    Helper helper = Helper::stemma;
};

std::string vm_uuid(std::string_view release, std::string_view name);

/// The spec without where its files lie: what is compared and hashed.
Json to_json(const VmSpec& spec);
/// throws  corrupt
VmSpec spec_from_json(const Json& json);
/// sha256 of canonical_json(to_json(spec)) without the host: moving a VM does not change what it
/// is.
std::string spec_digest(const VmSpec& spec);

/// Where one VM's files lie on its host.
struct VmPaths {
    std::string system_disk;
    std::vector<std::string> data_disks; ///< in the spec's order
    std::string console;
    std::string channel;
    std::string kernel;
    std::string initrd;
    std::string seed; ///< empty: none
};

/// Where the guest sees a disk: 0, the system's, is "vda"; data disks follow.
std::string disk_target(std::size_t index);

/// The mark that says what a domain was made from, for virt::Domain::set_metadata().
/// definition  digest of what libvirt made of our XML (virt::definition_digest())
std::string mark_element(const VmSpec& spec, const std::string& definition);

/// libvirt's XML for a VM.
/// accel  "kvm", "qemu" (emulation) or "test" (libvirt's test driver)
std::string domain_xml(const VmSpec& spec, const VmPaths& paths, const std::string& accel);

} // namespace stemma::deployer
