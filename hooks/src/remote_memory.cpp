#include "remote_memory.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace stemma::hooks {

namespace {

constexpr std::uint64_t page = 4096;
constexpr std::size_t longest_path = 4096;
constexpr std::size_t most_texts = 65536;
constexpr std::size_t most_bytes = std::size_t{4} << 20U;

/// What is at hand of one process's memory. Arguments and variables lie one after the other, so a
/// call to the kernel is good for many of them.
class Window {
public:
    /// pages  how many to fetch at once
    Window(pid_t thread, std::size_t pages) : thread_(thread), buffer_(pages * page) {}

    bool read(std::uint64_t address, void* into, std::size_t size)
    {
        auto* to = static_cast<char*>(into);
        while (size > 0) {
            if (!holds(address) && !fetch(address)) {
                return false;
            }
            const auto step = std::min<std::uint64_t>(size, end() - address);
            std::memcpy(to, at(address), step);
            to += step;
            address += step;
            size -= step;
        }
        return true;
    }

    bool read_text(std::uint64_t address, std::string& into, std::size_t most)
    {
        into.clear();
        while (into.size() < most) {
            if (!holds(address) && !fetch(address)) {
                return false;
            }
            const std::size_t size = end() - address;
            const char* text = at(address);
            if (const void* zero = std::memchr(text, 0, size)) {
                into.append(text, static_cast<std::size_t>(static_cast<const char*>(zero) - text));
                return true;
            }
            into.append(text, size);
            address += size;
        }
        errno = ENAMETOOLONG;
        return false;
    }

private:
    [[nodiscard]] bool holds(std::uint64_t address) const
    {
        return address >= begin_ && address < end();
    }
    [[nodiscard]] std::uint64_t end() const { return begin_ + size_; }
    [[nodiscard]] const char* at(std::uint64_t address) const
    {
        return buffer_.data() + (address - begin_);
    }

    /// From this address to the end of the last page that fits and is there.
    bool fetch(std::uint64_t address)
    {
        // One piece per page: the kernel stops at the first piece that it cannot read in full.
        std::array<iovec, most_pages> pieces{};
        const std::size_t count = std::min(buffer_.size() / page, most_pages);
        std::uint64_t from = address;
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint64_t size = page - from % page;
            pieces[i] = {reinterpret_cast<void*>(from), size}; // NOLINT: an address over there
            from += size;
        }
        const iovec local{buffer_.data(), buffer_.size()};
        const auto got = ::process_vm_readv(thread_, &local, 1, pieces.data(), count, 0);
        begin_ = address;
        size_ = got > 0 ? static_cast<std::size_t>(got) : 0;
        return got > 0;
    }

    static constexpr std::size_t most_pages = 8;
    pid_t thread_;
    std::vector<char> buffer_;
    std::uint64_t begin_ = 0;
    std::size_t size_ = 0;
};

} // namespace

bool read_bytes(pid_t thread, std::uint64_t address, void* into, std::size_t size)
{
    const iovec local{into, size};
    const iovec remote{reinterpret_cast<void*>(address), size}; // NOLINT: an address over there
    return ::process_vm_readv(thread, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool write_bytes(pid_t thread, std::uint64_t address, const void* from, std::size_t size)
{
    const iovec local{const_cast<void*>(from), size};           // only read from
    const iovec remote{reinterpret_cast<void*>(address), size}; // NOLINT: an address over there
    return ::process_vm_writev(thread, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool read_text(pid_t thread, std::uint64_t address, std::string& into)
{
    into.clear();
    std::array<char, page> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): read fills it
    while (into.size() < longest_path) {
        // Never across a page: the next one may not be there.
        const std::size_t step =
            std::min<std::uint64_t>(into.empty() ? 256 : page, page - address % page);
        if (!read_bytes(thread, address, buffer.data(), step)) {
            return false;
        }
        if (const void* end = std::memchr(buffer.data(), 0, step)) {
            into.append(buffer.data(),
                        static_cast<std::size_t>(static_cast<const char*>(end) - buffer.data()));
            return true;
        }
        into.append(buffer.data(), step);
        address += step;
    }
    errno = ENAMETOOLONG;
    return false;
}

bool visit_texts(pid_t thread, std::uint64_t list, bool narrow, const TextVisitor& visit)
{
    if (list == 0) {
        return true; // Linux takes a missing list for an empty one
    }
    Window pointers(thread, 1);
    Window texts(thread, 4);
    std::string text;
    std::size_t bytes = 0;
    for (std::size_t count = 0; count < most_texts && bytes < most_bytes; ++count) {
        std::uint64_t pointer = 0;
        const std::size_t width = narrow ? sizeof(std::uint32_t) : sizeof pointer;
        if (!pointers.read(list, &pointer, width)) { // little-endian: the low half comes first
            return false;
        }
        if (pointer == 0) {
            return true;
        }
        if (!texts.read_text(pointer, text, most_bytes - bytes)) {
            return false;
        }
        bytes += text.size() + 1;
        visit(pointer, text);
        list += width;
    }
    return false;
}

bool read_texts(pid_t thread, std::uint64_t list, bool narrow, std::vector<std::string>& into)
{
    return visit_texts(thread, list, narrow, [&](std::uint64_t, const std::string& text) {
        into.push_back(text);
    });
}

} // namespace stemma::hooks
