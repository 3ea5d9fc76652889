#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::volume {

enum class ContainerFormat { raw, qcow2, vmdk, vpc, vhdx, vdi };
/// The word that qemu uses: "raw", "qcow2", …
std::string_view to_string(ContainerFormat format) noexcept;
/// nullopt for any other word; "vhd" means vpc, "img" is none.
std::optional<ContainerFormat> container_format_from(std::string_view word) noexcept;

/// A file of a vmdk that holds a part of its data.
struct VmdkExtent {
    std::string file;        ///< as written in the descriptor
    std::uint64_t least = 0; ///< bytes that the file must have; 0 when it says so itself
};

/// One file of a disk image and what its header refers to. The header is read by our own bounded
/// parser; nothing it names has been opened.
struct Container {
    std::filesystem::path path; ///< absolute
    ContainerFormat format = ContainerFormat::raw;
    std::uint64_t virtual_size = 0; ///< bytes, as the header says; the file's size for raw
    bool encrypted = false;
    bool dirty = false;                 ///< qcow2: was not closed cleanly
    bool corrupt = false;               ///< qcow2: marked corrupt by qemu
    std::uint32_t snapshots = 0;        ///< qcow2: internal snapshots
    std::optional<std::string> backing; ///< as written in the header
    std::optional<ContainerFormat> backing_format;
    std::optional<std::string> data_file; ///< qcow2 with an external data file; "" when unnamed
    std::vector<VmdkExtent> extents;      ///< vmdk: files that hold the data, other than `path`
};

/// Which container the first bytes of a file look like; raw when none. Only to warn: what a disk
/// holds was written by its guest, so a magic number never decides how a file is opened.
ContainerFormat sniff_container(const std::filesystem::path& path);

/// The format in which `path` is to be opened: `given` if the user said one, else by the file's
/// name (.qcow2 .qcow .vmdk .vhd .vpc .vhdx .vdi .raw .img).
/// throws  usage: the name does not say, or name and content disagree (a raw disk whose guest
///         wrote a qcow2 header would otherwise read this machine's files)
ContainerFormat decide_format(const std::filesystem::path& path,
                              std::optional<ContainerFormat> given);

/// Reads the header of one file.
/// throws  not_found; corrupt: the header is not of that format or contradicts itself;
///         unsupported: a feature that changes the meaning and that we do not know
Container inspect_container(const std::filesystem::path& path, ContainerFormat format);

/// The file itself and everything below it, top first.
///
/// allow   folders in which backing, data and extent files may lie, besides the folder of `path`
/// throws  as inspect_container(); unsupported: encrypted; usage: a file outside of the allowed
///         folders; corrupt: a loop, deeper than 64, a backing file whose format is not said, or an
///         extent that is cut off
std::vector<Container> inspect_chain(const std::filesystem::path& path,
                                     ContainerFormat format,
                                     const std::vector<std::filesystem::path>& allow);

/// The chain as qemu's blockdev JSON, with every node, format and file name said, so that qemu
/// neither probes nor follows a name of a header by itself.
///
/// force_share  read although a running VM writes to it; what is read may contradict itself
std::string blockdev_json(const std::vector<Container>& chain, bool writable, bool force_share);

} // namespace stemma::volume
