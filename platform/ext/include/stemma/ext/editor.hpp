#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace stemma::ext {

struct Attributes {
    std::uint32_t mode = 0644; ///< permission bits, 07777
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    Time modified{};
    std::map<std::string, std::string> xattrs{}; ///< all of them: others are removed
};

/// Gives a file's content: calls the sink with pieces in order.
using Content = std::function<void(const std::function<void(std::string_view)>&)>;

/// Changes an ext2, ext3 or ext4 file system in place, in this process, without the kernel.
///
/// Meant for a volume that nobody else sees until all is done (a fresh overlay): what is written
/// before finish() may leave the file system inconsistent, and nothing of it is undone here.
///
/// Paths are absolute in the tree; symbolic links in the leading folders are followed within it
/// (/lib → usr/lib), the last component never is. The same calls in the same order on the same
/// bytes give the same bytes: no clock, no random number.
class Editor {
public:
    /// A dirty journal is replayed onto the volume first.
    ///
    /// volume  borrowed; writable
    /// now     becomes change time, access time and the superblock's write time
    /// throws  unsupported: a feature that is not written faithfully here (named), orphaned inodes,
    ///         128-byte inodes with a time after 2038; corrupt: the file system has errors
    Editor(volume::Volume& volume, Time now);
    ~Editor();
    Editor(const Editor&) = delete;
    Editor& operator=(const Editor&) = delete;

    /// What is there now, all changes included; valid as long as the editor.
    [[nodiscard]] volume::Filesystem& tree() noexcept;

    /// Makes a regular file of exactly `size` bytes; another file or link of that name is replaced
    /// the way rename(2) does it (other hard links keep the old content).
    /// throws  usage: the name is a folder, or its parent does not exist; io: no room left
    void put_file(const std::string& path,
                  const Attributes& attributes,
                  std::uint64_t size,
                  const Content& content);
    void put_file(const std::string& path, const Attributes& attributes, std::string_view content);

    /// Makes a folder; one that is there already (also through a symbolic link) is left as it is.
    /// returns  true when it was made
    bool put_folder(const std::string& path, const Attributes& attributes);

    void
    put_symlink(const std::string& path, const Attributes& attributes, const std::string& target);
    void put_fifo(const std::string& path, const Attributes& attributes);
    void put_device(const std::string& path,
                    const Attributes& attributes,
                    bool block,
                    std::uint32_t major,
                    std::uint32_t minor);
    /// Another name for `existing`, which must not be a folder.
    void put_hard_link(const std::string& existing, const std::string& path);

    /// Changes what `path` itself has; the modification time too.
    void set_attributes(const std::string& path, const Attributes& attributes);

    /// Removes a name that is no folder; the content goes with its last name.
    /// throws  not_found; usage: a folder
    void remove(const std::string& path);
    /// Removes an empty folder.
    /// returns  false: it is not empty
    bool remove_folder(const std::string& path);

    /// Blocks that are free, in bytes.
    [[nodiscard]] std::uint64_t free_bytes() const;

    /// Writes everything out and flushes the volume; the editor must not be used afterwards.
    void finish();

    struct Impl;

private:
    std::unique_ptr<Impl> impl_;
};

/// When the superblock was last written; what a change without a date of its own builds on.
Time last_written(volume::Volume& volume);

/// Runs `e2fsck -fn` over a copy of the file system's metadata (superblocks, tables, bitmaps,
/// inodes, folders, block maps), which is all that it reads. The copy has no name; it lies in
/// memory, or in a folder where it is large.
class Check {
public:
    /// Makes the copy and starts e2fsck on it; the volume is not used afterwards.
    ///
    /// volume  borrowed; its journal must be clean
    /// folder  for a large copy
    /// throws  not_found: e2fsck is not installed; io
    Check(volume::Volume& volume, const std::string& folder);
    ~Check();
    Check(const Check&) = delete;
    Check& operator=(const Check&) = delete;

    /// Waits for its answer. Callable once.
    /// throws  corrupt: e2fsck found something, with its words
    void finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// All of it at once.
void check(volume::Volume& volume, const std::string& folder);

} // namespace stemma::ext
