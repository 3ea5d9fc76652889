#include "raw_file.hpp"

#include "stemma/core/bytes.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace stemma::disk {

namespace {

constexpr std::uint64_t sector = 512;

/// What users of an image tell each other by locks on single bytes of its file, whatever lies
/// there: a lock on byte 100 + N says "I have permission N", on 200 + N "nobody else may have it".
/// source  block/file-posix.c and include/block/block-common.h of QEMU
constexpr off_t reads = 100;
constexpr off_t writes = 101;
constexpr off_t resizes = 103;
constexpr off_t denies_reading = 200;
constexpr off_t denies_writing = 201;
constexpr off_t denies_resizing = 203;

struct flock lock_of(off_t byte, short kind)
{
    struct flock lock {};
    lock.l_type = kind;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return lock;
}

bool is_held_by_others(int fd, off_t byte)
{
    struct flock lock = lock_of(byte, F_WRLCK);
    return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/// Says that we read and that nobody may write, then looks whether somebody does. In this order, so
/// that of two that come at once at least one sees the other. A file system without locks is read
/// without them, as qemu does.
void keep_writers_away(int fd, const std::filesystem::path& path)
{
    for (const off_t byte : {reads, denies_writing, denies_resizing}) {
        struct flock lock = lock_of(byte, F_RDLCK);
        (void)::fcntl(fd, F_OFD_SETLK, &lock);
    }
    constexpr std::array against_us = {writes, resizes, denies_reading};
    if (std::any_of(against_us.begin(), against_us.end(), [&](off_t byte) {
            return is_held_by_others(fd, byte);
        })) {
        throw Error(ErrorCode::conflict,
                    fmt::format("cannot open {}: somebody else writes to it", path.string()),
                    "a running VM or another change uses this image; stop it, or read a snapshot "
                    "of the VM instead (stemma snapshot take)");
    }
}

class RawFile final : public volume::Volume {
public:
    RawFile(const std::filesystem::path& path, bool force_share)
        : name_(path.string()),
          file_(force_share ? open_file(name_, O_RDONLY) : lock_raw_file(path))
    {
        const off_t end = ::lseek(file_.get(), 0, SEEK_END); // of a block device, too
        if (end < 0) {
            throw system_error(errno, fmt::format("ask for the size of {}", name_));
        }
        bytes_ = static_cast<std::uint64_t>(end);
    }

    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] std::uint64_t size() const override
    {
        return (bytes_ + sector - 1) / sector * sector;
    }
    [[nodiscard]] bool writable() const override { return false; }

    void read(std::uint64_t offset, std::span<std::byte> into) override
    {
        expect_within(offset, into.size());
        const std::uint64_t there = offset < bytes_ ? bytes_ - offset : 0;
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(there, into.size()));
        if (read_at(file_.get(), offset, into.first(count), name_) < count) {
            throw Error(ErrorCode::io, fmt::format("{} became shorter meanwhile", name_));
        }
        std::fill(into.begin() + static_cast<std::ptrdiff_t>(count), into.end(), std::byte{0});
    }

    void write(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) override
    {
        throw Error(ErrorCode::usage, fmt::format("{} is open for reading only", name_));
    }
    void flush() override {}

    [[nodiscard]] std::vector<volume::Extent> extents(std::uint64_t offset,
                                                      std::uint64_t length) override
    {
        expect_within(offset, length);
        std::vector<volume::Extent> found;
        const std::uint64_t end = offset + length;
        for (std::uint64_t at = offset; at < end;) {
            const std::uint64_t data = std::min(next(at, SEEK_DATA), end);
            const bool zero = data > at;
            std::uint64_t stop = zero ? data : std::min(next(at, SEEK_HOLE), end);
            stop = stop > at ? stop : end; // somebody punched a hole between the two questions
            found.push_back({.offset = at, .length = stop - at, .zero = zero});
            at = stop;
        }
        return found;
    }

    [[nodiscard]] std::vector<int> descriptors() const override { return {file_.get()}; }

private:
    /// Where data or a hole begins, at `at` or later; the end when there is none. What does not
    /// know holes is data all over.
    [[nodiscard]] std::uint64_t next(std::uint64_t at, int kind) const
    {
        const off_t found = ::lseek(file_.get(), static_cast<off_t>(at), kind);
        if (found >= 0) {
            return static_cast<std::uint64_t>(found) < bytes_ ? static_cast<std::uint64_t>(found)
                                                              : size();
        }
        return errno != ENXIO && kind == SEEK_DATA ? at : size();
    }

    std::string name_;
    Fd file_;
    std::uint64_t bytes_ = 0;
};

} // namespace

Fd lock_raw_file(const std::filesystem::path& path)
{
    Fd file = open_file(path.string(), O_RDONLY);
    keep_writers_away(file.get(), path);
    return file;
}

std::unique_ptr<volume::Volume> open_raw_file(const std::filesystem::path& path, bool force_share)
{
    return std::make_unique<RawFile>(path, force_share);
}

} // namespace stemma::disk
