#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/log.hpp"
#include "stemma/volume/container.hpp"
#include "stemma/volume/volume.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stemma::image {

/// A file under a name of its own that is locked while its maker lives: what a killed process left
/// behind is told from what is being made, and cleaned up.
class WorkFile {
public:
    explicit WorkFile(const std::filesystem::path& folder);
    ~WorkFile();
    WorkFile(const WorkFile&) = delete;
    WorkFile& operator=(const WorkFile&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    /// Flushes to disk and renames; a file of that name is replaced.
    void publish(const std::filesystem::path& final_path);

private:
    std::filesystem::path path_;
    Fd lock_;
};

/// Removes what killed processes left in `folder`; others' work in progress is not touched.
void clean_stale(const std::filesystem::path& folder, Log& log);

/// A new version of a disk image in the making: an overlay on its base that nobody else sees, until
/// commit() gives it the name of its own digest. Killed at any moment, the folder holds the old
/// images and perhaps a stale file that the next transaction removes.
class Transaction {
public:
    /// folder  where the store's images lie (<digest>.qcow2); the base must lie in it
    /// size    virtual bytes of the new version; nullopt: as the base has
    /// throws  conflict: the base is in use for writing; not_found; corrupt
    Transaction(const std::filesystem::path& folder,
                const std::filesystem::path& base,
                volume::ContainerFormat format,
                Log& log,
                std::optional<std::uint64_t> size = std::nullopt);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    /// The virtual disk, writable.
    [[nodiscard]] volume::Volume& disk() noexcept { return *disk_; }

    struct Published {
        Digest digest;              ///< SHA-256 of the virtual disk
        std::filesystem::path path; ///< folder / <digest>.qcow2
        std::uint64_t size = 0;     ///< virtual bytes
        bool existed = false;       ///< the folder had this content already
    };
    /// Lends the overlay's file to a program that opens it itself, such as a VM; disk() is another
    /// object afterwards.
    void lend(const std::function<void(const std::filesystem::path& file)>& work);

    /// Digests the whole virtual disk, makes it durable, and publishes. Callable once.
    /// expected   what the digest must be
    /// objection  asked last; when it throws nothing is published
    /// throws     corrupt: the digest is another; nothing is published then
    Published commit(const std::optional<Digest>& expected = std::nullopt,
                     const std::function<void()>& objection = {});

private:
    void open();

    std::filesystem::path folder_;
    WorkFile file_;
    std::unique_ptr<volume::Volume> disk_;
};

/// SHA-256 of all bytes of a disk; holes are not read.
Digest digest_of(volume::Volume& disk);

/// Copies an image file of any format into the folder as a qcow2 of its own, without a backing
/// file, and names it by its digest.
Transaction::Published import_file(const std::filesystem::path& folder,
                                   const std::vector<volume::Container>& chain,
                                   const Cancel& cancel,
                                   Log& log);

} // namespace stemma::image
