#include "stemma/core/fd.hpp"

#include "stemma/core/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace stemma {

void Fd::reset() noexcept
{
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
    }
}

Fd open_file(const std::string& path, int flags, mode_t mode)
{
    for (;;) {
        const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
        if (fd >= 0) {
            return Fd(fd);
        }
        if (errno != EINTR) {
            const bool writes = (flags & O_ACCMODE) != O_RDONLY;
            throw system_error(errno, fmt::format("{} {}", writes ? "write" : "open", path));
        }
    }
}

Pipe make_pipe()
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw system_error(errno, "make a pipe");
    }
    return {Fd(ends[0]), Fd(ends[1])};
}

} // namespace stemma
