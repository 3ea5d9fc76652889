#pragma once

#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>

namespace stemma::hooks {

/// A part of an open file: an object, or a member of an archive. Reads by pread(2) and never maps:
/// a file that another process cuts short is an answer here, and no signal.
class FilePart {
public:
    FilePart(int fd, std::uint64_t start, std::uint64_t size) : fd_(fd), start_(start), size_(size)
    {
    }

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    /// nullopt: outside of the part, or the file ends before
    [[nodiscard]] std::optional<std::string> read(std::uint64_t offset, std::uint64_t size) const
    {
        if (offset > size_ || size > size_ - offset) {
            return std::nullopt;
        }
        std::string bytes(size, '\0');
        if (!fill(offset, bytes.data(), bytes.size())) {
            return std::nullopt;
        }
        return bytes;
    }

    template <typename T>
    [[nodiscard]] std::optional<T> value(std::uint64_t offset) const
    {
        T value{};
        if (offset > size_ || sizeof value > size_ - offset ||
            !fill(offset, reinterpret_cast<char*>(&value), sizeof value)) {
            return std::nullopt;
        }
        return value;
    }

    [[nodiscard]] FilePart part(std::uint64_t offset, std::uint64_t size) const
    {
        const auto begin = offset < size_ ? offset : size_;
        return {fd_, start_ + begin, size < size_ - begin ? size : size_ - begin};
    }

private:
    bool fill(std::uint64_t offset, char* into, std::size_t size) const
    {
        std::size_t done = 0;
        while (done < size) {
            const auto got =
                ::pread(fd_, into + done, size - done, static_cast<off_t>(start_ + offset + done));
            if (got <= 0) {
                return false;
            }
            done += static_cast<std::size_t>(got);
        }
        return true;
    }

    int fd_;
    std::uint64_t start_;
    std::uint64_t size_;
};

} // namespace stemma::hooks
