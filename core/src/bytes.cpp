#include "stemma/core/bytes.hpp"

#include "stemma/core/error.hpp"

#include <unistd.h>

#include <cerrno>

namespace stemma {

std::size_t read_at(int fd, std::uint64_t offset, std::span<std::byte> into, std::string_view name)
{
    std::size_t done = 0;
    while (done < into.size()) {
        const auto got =
            ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            throw system_error(errno, fmt::format("read {}", name));
        }
        if (got == 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    return done;
}

} // namespace stemma
