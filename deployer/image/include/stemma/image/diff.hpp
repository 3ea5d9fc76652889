#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/json.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/partition.hpp"
#include "stemma/volume/volume.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stemma::image {

enum class DifferenceKind { partition, boot, kernel, package, file };
enum class DifferenceChange { added, removed, changed };
std::string_view to_string(DifferenceKind kind) noexcept;
std::string_view to_string(DifferenceChange change) noexcept;

struct Difference {
    DifferenceKind kind = DifferenceKind::file;
    DifferenceChange change = DifferenceChange::changed;
    std::string name;                ///< a path, or a package's or partition's name; bytes
    std::vector<std::string> fields; ///< what is different: "content", "mode", "owner", …
    std::string before;              ///< one line for people; empty when added
    std::string after;               ///< empty when removed
};

struct DiffOptions {
    std::string root = "/";      ///< compare only what is below
    bool modified_times = false; ///< a time alone counts as a difference
};

struct DiffResult {
    std::vector<Difference> differences; ///< by kind, then name
    std::vector<std::string> damage;     ///< what could not be read, in either
};

/// Compares two file trees: the boot loader's entries (GRUB, systemd-boot), kernels, packages with
/// versions, files with content and metadata.
/// Access and change times and inode numbers are left out: they say nothing about a system.
/// cost  every file of equal size is read in both trees
DiffResult compare_trees(volume::Filesystem& before,
                         volume::Filesystem& after,
                         const DiffOptions& options,
                         const Cancel& cancel);

/// Compares two partition tables, added in front of a result by the caller.
std::vector<Difference> compare_tables(const volume::PartitionTable& before,
                                       const volume::PartitionTable& after);

/// Compares what the machine's firmware starts from two disks: the boot code in the first sector,
/// and the area in which GRUB keeps its core behind an MBR.
std::vector<Difference> compare_boot_code(volume::Volume& before, volume::Volume& after);

/// Lines of a unified comparison of two texts with three lines of context; empty when they are
/// equal, nullopt when one is no text or longer than 1 MiB.
std::optional<std::string>
text_difference(const std::string& before, const std::string& after, const std::string& name);

} // namespace stemma::image
