#pragma once

#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/lineage/store.hpp"
#include "stemma/volume/filesystem.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stemma::image {

/// Everything of the world that image work touches.
struct World {
    lineage::Store& store;
    const Clock& clock;
    Log& log;
    Progress& progress;
    const Cancel& cancel;
    std::filesystem::path folder;             ///< <digest>.qcow2 files; made when missing
    std::vector<std::filesystem::path> allow; ///< more folders for backing files
    std::optional<Time> epoch = std::nullopt; ///< SOURCE_DATE_EPOCH
    std::filesystem::path cache{}; ///< what is fetched once, such as the appliance's kernel
};

/// An image as a command names it: a recorded one, or a file that nobody recorded.
struct Selected {
    std::string shown; ///< for messages
    std::filesystem::path path;
    disk::OpenOptions open;
    std::optional<lineage::ImageInfo> recorded; ///< nullopt: a plain file
};

/// "image:NAME", "NAME", a digest (prefix), or a path of an image file (or nbd+unix URI).
/// throws  not_found, with the nearest name; usage: the format of a file is unclear
Selected select(lineage::Store* store,
                const std::string& selector,
                std::optional<volume::ContainerFormat> format,
                const std::vector<std::filesystem::path>& allow);

/// The root file system of what was selected.
std::unique_ptr<volume::Filesystem> open_selected(const Selected& selected);

struct Change {
    lineage::ImageInfo image;
    bool existed = false;             ///< an image of this name and content was recorded before
    std::vector<std::string> notes{}; ///< what a person should know
};

/// Copies an image file into the folder and records it under `name`.
Change import_image(World& world, const std::string& name, const Selected& source);

enum class Mode { extract, appliance, chroot };

struct FileInstall {
    std::filesystem::path source;
    std::string target;                ///< absolute path in the image
    std::optional<std::uint32_t> mode; ///< else 0755 for programs, 0644 for the rest
};

struct InstallRequest {
    Selected base;
    std::string name; ///< of the new version
    std::vector<std::string> debs{};
    std::vector<FileInstall> files{};
    std::vector<std::string> tars{};
    std::vector<std::string> diffs{}; ///< unified comparisons of text files, applied last
    Mode mode = Mode::extract;
    bool dry_run = false;
};

/// Makes a new image version with packages, files and archives in it, without running anything of
/// them. Idempotent: the same inputs on the same base give the same digest, and a second run finds
/// the first one's result.
/// throws  conflict: dpkg would refuse (all reasons in the message); corrupt; unsupported; io
Change install(World& world, const InstallRequest& request);

struct PatchRequest {
    Selected base;
    std::string name; ///< of the new version
    /// Files, told by their content: block deltas (made by make_delta(), alone, in the order of
    /// their versions), Debian packages, tar archives, unified comparisons of text; and single
    /// files as "SRC:DST[:MODE]" in `files`.
    std::vector<std::string> patches{};
    std::vector<FileInstall> files{};
    Mode mode = Mode::extract;
    bool dry_run = false;
};

/// Makes a new image version from patches of any kind. A block delta gives exactly the digest that
/// it promises, or nothing.
/// throws  as install(); usage: a block delta together with others; corrupt: the delta is for
///         another image
Change patch(World& world, const PatchRequest& request);

struct RemoveRequest {
    Selected base;
    std::string name;
    std::vector<std::string> packages{}; ///< names of Debian packages, in any order
    std::vector<std::string> files{};    ///< paths
    std::vector<std::string> tars{};     ///< archives by the file name or sha256 of their record
    Mode mode = Mode::extract;           ///< of packages
    bool dry_run = false;
};

/// Makes a new image version without packages, archives or files. Archives, and files that an
/// install put, give way to exactly what was there before them, as the version before has it.
/// throws  conflict: others need a package, or files were changed since; not_found; unsupported: a
///         script would have to run in the mode "extract"
Change remove(World& world, const RemoveRequest& request);

/// Writes an image's content to a new file, complete in itself.
void export_image(World& world,
                  const Selected& source,
                  const std::filesystem::path& target,
                  volume::ContainerFormat format);

/// Marks an image version as no longer to be used; its file stays until it is collected.
void retire(World& world, const lineage::ImageInfo& image, const std::string& reason);

struct Collected {
    struct File {
        std::filesystem::path path;
        std::uint64_t bytes = 0; ///< on disk
        bool in_use = false;     ///< a VM or a reader has it open: it stays
    };
    std::vector<File> files;
};

/// Removes image files that nothing needs: not those of images in use, of VMs, or below either.
/// What killed processes left goes too.
Collected collect(World& world, bool dry_run);

} // namespace stemma::image
