#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/deployer/hypervisor.hpp"
#include "stemma/deployer/spec.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// sha256 of what a guest would read from the disk image: 64 digits.
using DiskDigester =
    std::function<std::string(const std::filesystem::path& path, const std::string& format)>;

/// Reads the whole virtual disk through qemu-nbd.
std::string
digest_of_disk(const std::filesystem::path& path, const std::string& format, const Cancel* cancel);

/// The files of one host's VMs, in a folder that its QEMU can read:
///
///     images/DIGEST.qcow2      base images by content, never written (also .raw)
///     images/DIGEST.proof      size, time and inode of the file whose digest was last proven
///     boot/SHA256              kernels and initrds by content
///     vms/NAME/system-D.qcow2  overlay on the image whose digest begins with D (16 digits)
///     vms/NAME/data-X.qcow2    data disk X: outlives every re-imaging
///     vms/NAME/console.log     what the VM said on its serial port
///     run/UUID                 socket of the helper's channel
///
/// Every file appears under its name whole or not at all; leftovers of interrupted work end in
/// ".part" and are removed by the next one.
class HostStore {
public:
    HostStore(std::filesystem::path folder, DiskDigester digester);

    [[nodiscard]] VmPaths paths_of(const VmSpec& spec) const;
    [[nodiscard]] std::vector<ObservedHost::DiskFile> disks() const;
    /// It is here, or its file is where the lineage says.
    [[nodiscard]] bool has_image(const ImageRef& image) const;
    /// throws  corrupt: the content is not what `image` says; not_found: its file is gone
    void provide_image(const ImageRef& image);
    void provide_boot_file(const std::string& path, const std::string& sha256) const;
    void make_disks(const VmSpec& spec) const;
    /// Only below our own folder. throws  usage: elsewhere
    void remove_disk(const std::filesystem::path& path) const;
    void forget(const std::string& vm_name) const;
    [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

private:
    [[nodiscard]] std::filesystem::path base_path(const ImageRef& image) const;
    void bring_image(const ImageRef& image, const std::filesystem::path& base) const;
    void prove(const ImageRef& image, const std::filesystem::path& base) const;

    std::filesystem::path folder_;
    DiskDigester digester_;
};

} // namespace stemma::deployer
