#include "stemma/volume/volume.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace stemma::volume {

namespace {

template <typename T>
T number(std::span<const std::byte> data, std::size_t at, bool big) noexcept
{
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        const auto digit = std::to_integer<T>(data[at + (big ? i : sizeof(T) - 1 - i)]);
        value = static_cast<T>((static_cast<std::uint64_t>(value) << 8U) | digit);
    }
    return value;
}

} // namespace

void Volume::expect_within(std::uint64_t offset, std::uint64_t length) const
{
    if (length > size() || offset > size() - length) {
        throw Error(
            ErrorCode::corrupt,
            fmt::format("{}: an access at byte {} of length {} lies beyond its end ({} bytes)",
                        name(),
                        offset,
                        length,
                        size()));
    }
}

std::vector<Extent> Volume::extents(std::uint64_t offset, std::uint64_t length)
{
    return {{.offset = offset, .length = length, .zero = false}};
}

MemoryVolume::MemoryVolume(std::vector<std::byte> bytes, std::string name)
    : bytes_(std::move(bytes)), name_(std::move(name))
{
}

MemoryVolume::MemoryVolume(std::string_view bytes, std::string name) : name_(std::move(name))
{
    const auto all = std::as_bytes(std::span(bytes));
    bytes_.assign(all.begin(), all.end());
}

void MemoryVolume::read(std::uint64_t offset, std::span<std::byte> into)
{
    expect_within(offset, into.size());
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
}

void MemoryVolume::write(std::uint64_t offset, std::span<const std::byte> data)
{
    expect_within(offset, data.size());
    std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
}

void read_through(Volume& volume,
                  std::uint64_t offset,
                  std::uint64_t length,
                  const std::function<void(std::span<const std::byte>)>& sink)
{
    constexpr std::uint64_t piece = std::uint64_t{1} << 20U;
    // One question covers at most this much, so that the answer stays small.
    constexpr std::uint64_t question = std::uint64_t{1} << 30U;
    std::vector<std::byte> buffer(piece);
    const std::vector<std::byte> zeros(piece);
    const auto give = [&](const Extent& extent) {
        for (std::uint64_t done = 0; done < extent.length; done += piece) {
            const std::uint64_t now = std::min(piece, extent.length - done);
            if (extent.zero) {
                sink(std::span(zeros).first(now));
                continue;
            }
            volume.read(extent.offset + done, std::span(buffer).first(now));
            sink(std::span(std::as_const(buffer)).first(now));
        }
    };
    for (std::uint64_t asked = 0; asked < length; asked += question) {
        const std::uint64_t part = std::min(question, length - asked);
        for (const Extent& extent : volume.extents(offset + asked, part)) {
            give(extent);
        }
    }
}

std::uint16_t le16(std::span<const std::byte> data, std::size_t at) noexcept
{
    return number<std::uint16_t>(data, at, false);
}

std::uint32_t le32(std::span<const std::byte> data, std::size_t at) noexcept
{
    return number<std::uint32_t>(data, at, false);
}

std::uint64_t le64(std::span<const std::byte> data, std::size_t at) noexcept
{
    return number<std::uint64_t>(data, at, false);
}

std::uint32_t be32(std::span<const std::byte> data, std::size_t at) noexcept
{
    return number<std::uint32_t>(data, at, true);
}

std::uint64_t be64(std::span<const std::byte> data, std::size_t at) noexcept
{
    return number<std::uint64_t>(data, at, true);
}

void put_be32(std::span<std::byte> data, std::size_t at, std::uint32_t value) noexcept
{
    for (std::size_t i = 0; i < 4; ++i) {
        data[at + i] = static_cast<std::byte>(value >> (24U - 8U * i));
    }
}

void put_le32(std::span<std::byte> data, std::size_t at, std::uint32_t value) noexcept
{
    for (std::size_t i = 0; i < 4; ++i) {
        data[at + i] = static_cast<std::byte>(value >> (8U * i));
    }
}

} // namespace stemma::volume
