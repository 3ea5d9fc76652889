#include "remote_memory.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace stemma::hooks {

namespace {

constexpr std::uint64_t page = 4096;
constexpr std::size_t most_texts = 65536;
constexpr std::size_t most_bytes = std::size_t{4} << 20U;

ssize_t read_some(pid_t thread, std::uint64_t address, void* into, std::size_t size)
{
    const iovec local{into, size};
    const iovec remote{reinterpret_cast<void*>(address), size}; // NOLINT: an address over there
    return ::process_vm_readv(thread, &local, 1, &remote, 1, 0);
}

} // namespace

bool read_bytes(pid_t thread, std::uint64_t address, void* into, std::size_t size)
{
    return read_some(thread, address, into, size) == static_cast<ssize_t>(size);
}

bool read_text(pid_t thread, std::uint64_t address, std::string& into, std::size_t most)
{
    into.clear();
    std::array<char, page> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): read fills it
    while (into.size() < most) {
        // Never across a page: the next one may not be there.
        const std::size_t step =
            std::min<std::uint64_t>(into.empty() ? 256 : page, page - address % page);
        const auto got = read_some(thread, address, buffer.data(), step);
        if (got <= 0) {
            return false;
        }
        const auto size = static_cast<std::size_t>(got);
        if (const void* end = std::memchr(buffer.data(), 0, size)) {
            into.append(buffer.data(),
                        static_cast<std::size_t>(static_cast<const char*>(end) - buffer.data()));
            return true;
        }
        into.append(buffer.data(), size);
        address += size;
    }
    errno = ENAMETOOLONG;
    return false;
}

bool read_texts(pid_t thread, std::uint64_t address, bool narrow, std::vector<std::string>& into)
{
    if (address == 0) {
        return true; // Linux takes a missing list for an empty one
    }
    std::size_t bytes = 0;
    while (into.size() < most_texts && bytes < most_bytes) {
        std::uint64_t pointer = 0;
        std::uint32_t narrow_pointer = 0;
        const bool got = narrow
                             ? read_bytes(thread, address, &narrow_pointer, sizeof narrow_pointer)
                             : read_bytes(thread, address, &pointer, sizeof pointer);
        if (!got) {
            return false;
        }
        pointer = narrow ? narrow_pointer : pointer;
        if (pointer == 0) {
            return true;
        }
        std::string text;
        if (!read_text(thread, pointer, text, most_bytes - bytes)) {
            return false;
        }
        bytes += text.size() + 1;
        into.push_back(std::move(text));
        address += narrow ? sizeof narrow_pointer : sizeof pointer;
    }
    return false;
}

} // namespace stemma::hooks
