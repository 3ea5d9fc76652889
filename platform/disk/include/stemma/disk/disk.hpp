#pragma once

#include "stemma/volume/container.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/partition.hpp"
#include "stemma/volume/volume.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// Disk images from the file to its root file system: container, server, partition, driver.
namespace stemma::disk {

struct OpenOptions {
    std::optional<volume::ContainerFormat> format = std::nullopt; ///< else by the file's name
    std::vector<std::filesystem::path> allow{}; ///< more folders for backing files
    bool writable = false;
    bool force_share =
        false;         ///< read although a running VM writes; the answer may contradict itself
    bool check = true; ///< `qemu-img check` before trust (qcow2, vdi, vhdx, vmdk)
    std::optional<std::uint32_t> partition = std::nullopt; ///< else the one that looks like a root
    std::string snapshot{};                                ///< name of an internal snapshot (qcow2)
};

/// Opens the virtual disk of an image file through qemu-nbd, which ends with the answer. Nothing
/// that a guest can write decides what is opened: every file of the chain is inspected first.
/// throws  not_found; usage: format unclear, or a backing file outside the allowed folders;
///         conflict: in use by a running VM; corrupt; unsupported: encrypted
std::unique_ptr<volume::Volume> open_disk(const std::filesystem::path& path,
                                          const OpenOptions& options);

/// The chain of files below an image, top first, as open_disk() would use it.
std::vector<volume::Container> chain_of(const std::filesystem::path& path,
                                        const OpenOptions& options);

/// A part of a disk as a volume that owns the disk.
std::unique_ptr<volume::Volume> take_partition(std::unique_ptr<volume::Volume> disk,
                                               const volume::Partition& partition);

/// The root file system of a disk: the partition asked for, else the only one with a file system
/// that can be read, else the one that has /etc/os-release (or /etc/fstab).
/// throws  not_found: no file system; unsupported: one that has no reader here (named, with what
///         to do); usage: several candidates
std::unique_ptr<volume::Filesystem>
open_root(std::unique_ptr<volume::Volume> disk,
          std::optional<std::uint32_t> partition = std::nullopt);

/// open_disk(), then open_root(): what most readers want.
///
/// place  an image file, or "nbd+unix:///EXPORT?socket=PATH" for a block export that somebody else
///        serves, e.g. the backup export of a running VM
std::unique_ptr<volume::Filesystem> open_image_filesystem(const std::string& place,
                                                          const OpenOptions& options = {});

/// Which partition open_root() would take, for those who need its place too.
volume::Partition root_partition(volume::Volume& disk, std::optional<std::uint32_t> partition);

} // namespace stemma::disk
