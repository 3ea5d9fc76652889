#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/deployer/host_store.hpp"
#include "stemma/virt/storage.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace stemma::deployer {

class BlobShelf;

/// The store of a host anywhere, through its libvirt's storage pool alone: nothing of ours runs
/// there. All files lie in the pool's one folder:
///
///     store~UUID                   empty: hosts that share the pool see the same
///     base~DIGEST.raw              base images by content, sparse, never written once proven
///     boot~SHA256                  kernels and initrds by content
///     base~DIGEST.mark, boot~….mark  how far the file was sent, or what it was when its digest was
///                                  last proven: 512 bytes of JSON
///     vm~NAME~system-D.qcow2       overlay on the image whose digest begins with D (16 digits)
///     vm~NAME~data-X.qcow2         data disk X: outlives every re-imaging
///     vm~NAME~console.log          what the VM said on its serial port
///     lease~RELEASE~OWNER          that deployer works on the release
///     run~HASH                     socket of the helper's channel, by VM and host
///
/// "~" is in no name of a VM. A file counts only when its mark says that it was proven, so an
/// interrupted upload is never taken for an image; the next one continues where it stopped.
///
/// What is sent: the parts that are not zero; or, when the host has a proven relative of the image
/// (`ImageRef::kin`), a copy of that is made on the host and the changed parts are sent. A full
/// upload is proven by reading the whole file back; a changed copy by the proof of what was copied,
/// and by reading back a sample of changed and unchanged blocks.
class PoolStore final : public HostStore {
public:
    struct Settings {
        std::string host;               ///< its name: part of the sockets' names
        const Cancel* cancel = nullptr; ///< borrowed; may be null
        /// Told how many bytes went over the wire; may be empty.
        std::function<void(std::uint64_t sent, std::uint64_t received)> moved{};
    };
    PoolStore(virt::StoragePool pool, Settings settings);
    ~PoolStore() override;
    PoolStore(const PoolStore&) = delete;
    PoolStore& operator=(const PoolStore&) = delete;

    [[nodiscard]] std::string id() override;
    [[nodiscard]] VmPaths paths_of(const VmSpec& spec) const override;
    [[nodiscard]] std::vector<ObservedHost::DiskFile> disks() override;
    [[nodiscard]] std::vector<StoredBase> bases() override;
    void remove_base(const std::string& digest) override;
    [[nodiscard]] bool has_image(const ImageRef& image) override;
    void provide_image(const ImageRef& image) override;
    void
    provide_boot_file(const std::string& path, const std::string& sha256, mode_t mode) override;
    void make_disks(const VmSpec& spec) override;
    void remove_disk(const std::string& path) override;
    void forget(const std::string& vm_name) override;
    [[nodiscard]] std::unique_ptr<Lease> lease(const std::string& release) override;
    std::vector<std::string> end_leases(const std::string& release) override;

private:
    [[nodiscard]] std::string path_of(const std::string& name) const;
    void make_overlay(const VmSpec& spec, const std::string& name);
    void make_data_disk(const DataDisk& disk, const std::string& name);
    [[nodiscard]] std::optional<virt::VolumeFacts> facts_of(const std::string& name) const;

    virt::StoragePool pool_;
    Settings settings_;
    std::unique_ptr<BlobShelf> shelf_;
};

} // namespace stemma::deployer
