#pragma once

#include "stemma/virt/connection.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

// NOLINTBEGIN(bugprone-reserved-identifier): the C library's own names
struct _virStoragePool;
struct _virStorageVol;
// NOLINTEND(bugprone-reserved-identifier)

/// Files of a host through its libvirt daemon alone: no shell, no agent and no shared file system.
namespace stemma::virt {

/// One file of a pool, as its host sees it at this moment.
struct VolumeFacts {
    std::string name;
    std::string path;
    std::string format;           ///< raw, qcow2, …
    std::string backing;          ///< path of the file below; empty when there is none
    std::uint64_t capacity = 0;   ///< bytes of the virtual disk
    std::uint64_t allocation = 0; ///< bytes that it takes on the host
    /// Time of the last write and of birth, in the host's words: equal while nobody wrote to the
    /// file or replaced it. Times of status changes are left out: QEMU's start changes the owner.
    std::string written;
};

/// Handle of one file of a pool.
class StorageVolume {
public:
    StorageVolume(std::shared_ptr<_virConnect> connection, _virStorageVol* owned);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::string path() const;
    /// Asks the host, which looks at the file again. throws  not_found: it is gone
    [[nodiscard]] VolumeFacts facts() const;

    /// Gives the next piece of what is to be written; empty ends it.
    using Source = std::function<std::span<const std::byte>()>;
    /// Writes `length` bytes of the file (not of the virtual disk) from `offset` on. The host has
    /// them when it returns.
    /// throws  remote: also when the host's disk is full
    void upload(std::uint64_t offset, std::uint64_t length, const Source& source) const;

    /// Gets the file's bytes in order. `bytes` is empty for a hole of `length` zeros.
    using Sink = std::function<void(std::span<const std::byte> bytes, std::uint64_t length)>;
    /// length  0: to the end
    void download(std::uint64_t offset, std::uint64_t length, const Sink& sink) const;

    /// The file is gone afterwards; one that was gone is fine.
    void remove() const;

    [[nodiscard]] _virStorageVol* raw() const noexcept { return handle_.get(); }

private:
    std::shared_ptr<_virConnect> connection_;
    std::shared_ptr<_virStorageVol> handle_;
    std::string name_; // kept: asking libvirt for it would reset the error that a message is about
};

/// What a new volume is to be.
struct NewVolume {
    std::string name;
    std::uint64_t capacity = 0;
    std::string format = "raw";
    std::string backing{};        ///< path of the file below; only for qcow2
    std::string backing_format{}; ///< of that file
};

/// A pool whose volumes are files of one folder.
class StoragePool {
public:
    /// throws  not_found; unsupported: its volumes are no files of a folder
    static StoragePool find(const Connection& connection, const std::string& name);
    /// The pool whose folder this is, made (with the folder) when there is none; it comes up with
    /// its host from then on.
    /// name  for a new one, when it is still free
    static StoragePool
    ensure(const Connection& connection, const std::string& folder, const std::string& name);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

    /// throws  io: fewer bytes than that are free on the pool's file system
    void require_space(std::uint64_t bytes) const;
    /// Sees files that others than libvirt made or removed.
    void refresh() const;
    /// In order of name.
    [[nodiscard]] std::vector<StorageVolume> volumes() const;
    [[nodiscard]] std::vector<std::string> volume_names() const;
    [[nodiscard]] std::optional<StorageVolume> volume(const std::string& name) const;
    /// throws  conflict: the name is taken; remote: also when the host's disk is full
    [[nodiscard]] StorageVolume create(const NewVolume& wanted) const;
    /// The same with the content of `from`, copied by the host.
    [[nodiscard]] StorageVolume clone(const NewVolume& wanted, const StorageVolume& from) const;

private:
    StoragePool(std::shared_ptr<_virConnect> connection, _virStoragePool* owned);
    void start_if_stopped() const;

    std::shared_ptr<_virConnect> connection_;
    std::shared_ptr<_virStoragePool> handle_;
    std::string name_;
    std::string folder_;
};

} // namespace stemma::virt
