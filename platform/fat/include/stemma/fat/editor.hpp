#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/volume/volume.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace stemma::fat {

/// Changes a FAT file system in place, e.g. an EFI partition. Meant for a volume that nobody else
/// sees until all is done. The same calls on the same bytes give the same bytes: times are given,
/// clusters are taken from the lowest on.
///
/// Paths are absolute; names are found whatever their case, and written as given (long names where
/// 8.3 cannot hold them).
class Editor {
public:
    /// volume  borrowed; writable
    /// throws  corrupt: no such file system, it was not closed cleanly, or its tables differ
    Editor(volume::Volume& volume, Time now);
    ~Editor();
    Editor(const Editor&) = delete;
    Editor& operator=(const Editor&) = delete;

    /// Makes a file, or replaces one.
    /// throws  usage: a folder has that name, its parent does not exist, or FAT cannot hold the
    ///         name; io: no room left; unsupported: 4 GiB or more
    void put_file(const std::string& path, std::string_view content);
    /// returns  false: there is a folder of that name
    bool put_folder(const std::string& path);
    /// Removes a file or an empty folder.
    /// throws  not_found; usage: the folder is not empty
    void remove(const std::string& path);

    [[nodiscard]] std::uint64_t free_bytes();

    /// Writes everything out and flushes the volume.
    void finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace stemma::fat
