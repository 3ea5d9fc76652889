#pragma once

#include "stemma/core/fd.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace stemma {

/// Reads a whole regular file or, for special files such as /proc's, up to its end.
/// max_bytes  refuses a larger file instead of filling memory
/// throws     not_found, io; unsupported: larger than max_bytes
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes = 1ULL << 30U);

/// Writes all of `data`, retrying short writes.
/// throws  io, with ENOSPC named
void write_all(int fd, std::string_view data, std::string_view name);

/// A file that appears under its name whole, or not at all: written beside it, flushed to disk,
/// then renamed over it. Without commit() nothing is left behind.
class NewFile {
public:
    /// path  the final name; its folder must exist
    explicit NewFile(std::filesystem::path path, mode_t mode = 0644);
    ~NewFile();
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    void write(std::string_view data);
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// fsync, rename, fsync of the folder.
    void commit();

private:
    std::filesystem::path path_;
    std::filesystem::path temporary_;
    Fd fd_;
};

/// The usual case: NewFile, write, commit.
void write_file(const std::filesystem::path& path, std::string_view data, mode_t mode = 0644);

/// A folder of our own under the system's (or `parent`), removed with all in it at the end.
class TemporaryFolder {
public:
    explicit TemporaryFolder(std::string_view name, const std::filesystem::path& parent = {});
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

/// flock(2) on a file, made when missing; released at the end.
class FileLock {
public:
    enum class Wait { no, yes };
    /// throws  conflict: Wait::no and another process holds it
    FileLock(const std::filesystem::path& path, Wait wait);

private:
    Fd fd_;
};

/// `path` without ".", ".." and doubled slashes, absolute against `base`; purely textual.
std::filesystem::path normal_path(const std::filesystem::path& path,
                                  const std::filesystem::path& base);

/// Flushes a folder's entries to disk.
void sync_folder(const std::filesystem::path& folder);

} // namespace stemma
