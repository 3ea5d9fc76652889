#include "stemma/analyzer/file_volume.hpp"

#include "stemma/core/bytes.hpp"
#include "stemma/core/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace stemma::analyzer {

FileVolume::FileVolume(const std::filesystem::path& file)
    : name_(file.string()), fd_(open_file(name_, O_RDONLY))
{
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) {
        throw system_error(errno, fmt::format("read {}", name_));
    }
    size_ = static_cast<std::uint64_t>(info.st_size);
}

FileVolume::FileVolume(const std::filesystem::path& file, std::uint64_t size)
    : name_(file.string()),
      fd_(open_file(name_, O_RDWR | O_CREAT | O_TRUNC, 0600)),
      size_(size),
      writable_(true)
{
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
        throw system_error(errno, fmt::format("write {}", name_));
    }
}

void FileVolume::read(std::uint64_t offset, std::span<std::byte> into)
{
    if (read_at(fd_.get(), offset, into, name_) < into.size()) {
        throw Error(ErrorCode::corrupt, fmt::format("{} ends before", name_));
    }
}

void FileVolume::write(std::uint64_t offset, std::span<const std::byte> data)
{
    std::size_t done = 0;
    while (done < data.size()) {
        const auto put = ::pwrite(
            fd_.get(), data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
        if (put < 0 && errno != EINTR) {
            throw system_error(errno, fmt::format("write {}", name_));
        }
        done += put > 0 ? static_cast<std::size_t>(put) : 0;
    }
}

void FileVolume::flush()
{
    if (writable_ && ::fsync(fd_.get()) != 0) {
        throw system_error(errno, fmt::format("flush {}", name_));
    }
}

std::vector<volume::Extent> FileVolume::extents(std::uint64_t offset, std::uint64_t length)
{
    std::vector<volume::Extent> result;
    const auto end = offset + length;
    while (offset < end) {
        const auto data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
        const auto start = data < 0 ? end : std::min(end, static_cast<std::uint64_t>(data));
        if (data < 0 && errno != ENXIO) { // a file system that does not know
            result.push_back({offset, end - offset, false});
            return result;
        }
        if (start > offset) {
            result.push_back({offset, start - offset, true});
        }
        if (start < end) {
            const auto hole = ::lseek(fd_.get(), static_cast<off_t>(start), SEEK_HOLE);
            const auto stop = hole < 0 ? end : std::min(end, static_cast<std::uint64_t>(hole));
            result.push_back({start, stop - start, false});
            offset = stop;
        } else {
            offset = end;
        }
    }
    return result;
}

} // namespace stemma::analyzer
