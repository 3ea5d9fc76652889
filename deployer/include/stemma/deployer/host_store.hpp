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

/// The files of one host's VMs, wherever that host is. Every call may be repeated; what was
/// interrupted is completed or begun anew by the next call, and never taken for whole.
class HostStore {
public:
    virtual ~HostStore() = default;
    HostStore() = default;
    HostStore(const HostStore&) = delete;
    HostStore& operator=(const HostStore&) = delete;

    /// Equal for hosts that share this storage; made on first use.
    [[nodiscard]] virtual std::string id() = 0;
    /// Pure: the same spec has the same paths on this host, whether its files are there or not.
    [[nodiscard]] virtual VmPaths paths_of(const VmSpec& spec) const = 0;
    [[nodiscard]] virtual std::vector<ObservedHost::DiskFile> disks() = 0;
    /// In order of digest. Files that cannot be read count as lying on every base.
    [[nodiscard]] virtual std::vector<StoredBase> bases() = 0;
    virtual void remove_base(const std::string& digest) = 0;
    /// It is there, or could be brought from where the lineage says that its file is.
    [[nodiscard]] virtual bool has_image(const ImageRef& image) = 0;
    /// Brings the base image unless it is there, and proves its digest unless this very file was
    /// proven before and did not change since.
    /// throws  corrupt: the content is not what `image` says; not_found: its file is gone
    virtual void provide_image(const ImageRef& image) = 0;
    /// A kernel, an initrd, or a cloud-init seed, by content.
    /// mode    of the file on the host, where it is a file of its own
    /// throws  conflict: the file's content is another by now
    virtual void
    provide_boot_file(const std::string& path, const std::string& sha256, mode_t mode) = 0;
    /// Digests of base images that somebody wrote to since they were proven, where that can be seen
    /// without reading them.
    [[nodiscard]] virtual std::vector<std::string> changed_bases() { return {}; }
    /// The system overlay on the image, and data disks; those that are there stay, and grow when
    /// they should be larger.
    virtual void make_disks(const VmSpec& spec) = 0;
    /// One that disks() listed; a missing one is fine. throws  usage: no disk of ours
    virtual void remove_disk(const std::string& path) = 0;
    /// What is left of a VM whose disks are gone.
    virtual void forget(const std::string& vm_name) = 0;
    /// See Hypervisor.
    [[nodiscard]] virtual std::unique_ptr<Lease> lease(const std::string& /*release*/)
    {
        return nullptr;
    }
    virtual std::vector<std::string> end_leases(const std::string& /*release*/) { return {}; }
};

/// The store of a host whose folder is on this machine too:
///
///     store.id                 a UUID: hosts that share the folder see the same
///     images/DIGEST.qcow2      base images by content, never written (also .raw)
///     images/DIGEST.proof      size, time and inode of the file whose digest was last proven
///     boot/SHA256              kernels, initrds and cloud-init seeds by content
///     vms/NAME/system-D.qcow2  overlay on the image whose digest begins with D (16 digits)
///     vms/NAME/data-X.qcow2    data disk X: outlives every re-imaging
///     vms/NAME/console.log     what the VM said on its serial port
///     run/UUID                 socket of the helper's channel
///
/// Every file appears under its name whole or not at all; leftovers of interrupted work end in
/// ".part" and are removed by the next one.
class FolderStore final : public HostStore {
public:
    FolderStore(std::filesystem::path folder, DiskDigester digester);

    [[nodiscard]] std::string id() override;
    [[nodiscard]] VmPaths paths_of(const VmSpec& spec) const override;
    [[nodiscard]] std::vector<ObservedHost::DiskFile> disks() override;
    [[nodiscard]] std::vector<StoredBase> bases() override;
    void remove_base(const std::string& digest) override;
    [[nodiscard]] bool has_image(const ImageRef& image) override;
    void provide_image(const ImageRef& image) override;
    void
    provide_boot_file(const std::string& path, const std::string& sha256, mode_t mode) override;
    [[nodiscard]] std::vector<std::string> changed_bases() override;
    void make_disks(const VmSpec& spec) override;
    void remove_disk(const std::string& path) override;
    void forget(const std::string& vm_name) override;

private:
    [[nodiscard]] std::filesystem::path base_path(const ImageRef& image) const;
    void bring_image(const ImageRef& image, const std::filesystem::path& base) const;
    void prove(const ImageRef& image, const std::filesystem::path& base) const;

    std::filesystem::path folder_;
    DiskDigester digester_;
};

} // namespace stemma::deployer
