#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace stemma {

/// A number or structure as it lies in `bytes`, at any alignment and in this machine's order of
/// bytes; nullopt where it would reach behind their end.
template <typename T>
std::optional<T> load(std::string_view bytes, std::uint64_t at)
{
    if (at > bytes.size() || bytes.size() - at < sizeof(T)) {
        return std::nullopt;
    }
    T value{};
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

/// Fills `into` with a file's bytes from `offset` on; the file's own position stays.
///
/// name     the file's, for the error
/// returns  how many there were: fewer than asked for where the file ends
/// throws   what pread(2) says
std::size_t read_at(int fd, std::uint64_t offset, std::span<std::byte> into, std::string_view name);

} // namespace stemma
