#include "stemma/core/stderr_catcher.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace stemma {

StderrCatcher::StderrCatcher()
    : file_(::memfd_create("stderr", MFD_CLOEXEC)),
      saved_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3))
{
    if (file_ && saved_) {
        ::dup2(file_.get(), STDERR_FILENO);
    }
}

void StderrCatcher::restore() noexcept
{
    if (saved_) {
        ::dup2(saved_.get(), STDERR_FILENO);
        saved_.reset();
    }
}

std::string StderrCatcher::text() const
{
    constexpr std::size_t most = 4096;
    std::string text(most, '\0');
    const ssize_t got = ::pread(file_.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

} // namespace stemma
