#pragma once

#include "stemma/jail/tree.hpp"
#include "stemma/volume/container.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/partition.hpp"
#include "stemma/volume/volume.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// Disk images from the file to its root file system: container, server, partition, driver.
namespace stemma::disk {

/// Gets sentences about what is taken, by which reader and why.
using jail::Explain;

struct OpenOptions {
    std::optional<volume::ContainerFormat> format = std::nullopt; ///< else by the file's name
    std::vector<std::filesystem::path> allow{}; ///< more folders for backing files
    bool writable = false;
    bool durable = true; ///< false: flush() does not wait for the disk; its maker calls fsync(2)
    bool force_share =
        false;         ///< read although a running VM writes; the answer may contradict itself
    bool check = true; ///< `qemu-img check` before trust (qcow2, vdi, vhdx, vmdk)
    std::optional<std::uint32_t> partition = std::nullopt; ///< else the one that looks like a root
    std::string snapshot{};                                ///< name of an internal snapshot (qcow2)
    bool libguestfs = true; ///< may boot a VM for what has no reader here
    Explain explain{};
    const Cancel* cancel = nullptr; ///< borrowed while the answer is used
};

/// Opens the virtual disk of an image file through qemu-nbd, which ends with the answer. Nothing
/// that a guest can write decides what is opened: every file of the chain is inspected first.
/// throws  not_found; usage: format unclear, or a backing file outside the allowed folders;
///         conflict: in use by a running VM; corrupt; unsupported: encrypted
std::unique_ptr<volume::Volume> open_disk(const std::filesystem::path& path,
                                          const OpenOptions& options);

/// The same for a pass over all its bytes, which are copied, compared or digested and never parsed:
/// a raw file is then read without a server in between, under the same locks. Not for the jail,
/// which holds no file.
std::unique_ptr<volume::Volume> open_disk_bytes(const std::filesystem::path& path,
                                                const OpenOptions& options);

/// The chain of files below an image, top first, as open_disk() would use it.
std::vector<volume::Container> chain_of(const std::filesystem::path& path,
                                        const OpenOptions& options);

/// A part of a disk as a volume that owns the disk.
std::unique_ptr<volume::Volume> take_partition(std::unique_ptr<volume::Volume> disk,
                                               const volume::Partition& partition);

/// What is on a disk, read in a jail.
///
/// disk    borrowed; nothing else may use it meanwhile
/// throws  as volume::read_partitions()
volume::PartitionTable partition_table(volume::Volume& disk);

/// The root file system of a disk: the partition asked for, else the only one with a file system
/// that can be read (beside an EFI partition), else the one that has /etc/os-release, /etc/fstab or
/// Windows' registry. All of it is read in a jail, which ends with the answer. When none of those
/// is a root, and there are file systems that only a kernel reads, libguestfs looks at them: a VM
/// that ends with the answer.
///
/// options  partition, explain, cancel and libguestfs count
/// throws   not_found: no file system; unsupported: one that has no reader here (named, with what
///          to do); usage: several candidates; corrupt: also when its reader crashed; remote:
///          libguestfs' VM does not start
std::unique_ptr<jail::Tree> open_root(std::unique_ptr<volume::Volume> disk,
                                      const OpenOptions& options = {});

/// The same without a jail and libguestfs: for code that runs in a jail, and for tests.
std::unique_ptr<volume::Filesystem>
open_root_here(std::unique_ptr<volume::Volume> disk,
               std::optional<std::uint32_t> partition = std::nullopt,
               const Explain& explain = {});

/// Lets `work` look at the root file system inside a jail, and gives what it returned: for what
/// reads much and parses what it reads.
/// throws  as open_root() and `work`; interrupted
std::string compute_on_root(std::unique_ptr<volume::Volume> disk,
                            std::optional<std::uint32_t> partition,
                            const std::function<std::string(volume::Filesystem&)>& work,
                            const Cancel* cancel = nullptr);

/// open_disk(), then open_root(): what most readers want.
///
/// place  an image file, or "nbd+unix:///EXPORT?socket=PATH" for a block export that somebody else
///        serves, e.g. the backup export of a running VM
std::unique_ptr<volume::Filesystem> open_image_filesystem(const std::string& place,
                                                          const OpenOptions& options = {});

/// Which partition open_root() would take, for those who need its place too.
volume::Partition root_partition(volume::Volume& disk, std::optional<std::uint32_t> partition);

} // namespace stemma::disk
