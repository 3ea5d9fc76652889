#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"

#include <filesystem>
#include <map>
#include <string>

namespace stemma::image {

/// A Debian kernel with its modules: what a VM of ours boots, whatever the image holds.
struct ApplianceKernel {
    std::filesystem::path kernel;  ///< vmlinuz
    std::filesystem::path modules; ///< lib/modules/VERSION
};

/// The newest cloud kernel installed on this machine, else the one kept in `cache`, which is
/// fetched once through apt (Debian's signatures are checked by it).
/// throws  not_found: none, and apt cannot fetch one, with what to install
ApplianceKernel
find_appliance_kernel(const std::filesystem::path& cache, const Cancel& cancel, Log& log);

/// Work inside a VM on the file tree of an image, by a shell of the image itself.
struct ApplianceJob {
    std::filesystem::path disk;  ///< a qcow2 file with its chain, written to
    std::uint32_t partition = 0; ///< that holds the root file system; 0: the whole disk
    std::string type = "ext4";   ///< of the file system
    std::string script;          ///< for /bin/sh, with the image as its root
    std::map<std::string, std::filesystem::path> files{}; ///< name in /run/stemma → file here
    Time now{};                                           ///< what the VM's clock says at its start
    std::filesystem::path folder;                         ///< for working files
};

struct ApplianceResult {
    int exit = 0;       ///< of the script
    std::string output; ///< of the script, both streams
};

/// Boots a VM without a network, with nothing but the image's disk, runs the script in it with the
/// image as its root, unmounts and ends. Takes seconds, also under emulation. No service of the
/// image starts: /usr/sbin/policy-rc.d forbids it, and there is no systemd. /tmp, /run and /dev are
/// the VM's own, and what the script leaves in /etc/machine-id is taken back.
///
/// QEMU runs without rights to start programs (its seccomp sandbox); the disk is the only file that
/// it writes.
/// throws  remote: the VM did not boot, died, or took longer than 20 minutes, with its last words;
///         not_found: no qemu-system-x86_64 or busybox here
ApplianceResult run_in_appliance(const ApplianceKernel& kernel,
                                 const ApplianceJob& job,
                                 const Cancel& cancel,
                                 Log& log);

} // namespace stemma::image
