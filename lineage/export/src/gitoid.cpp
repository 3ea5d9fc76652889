#include "stemma/export/gitoid.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace stemma::exporting {

namespace {

constexpr std::size_t chunk = std::size_t{128} << 10U;

std::string blob_header(std::uint64_t size)
{
    auto header = fmt::format("blob {}", size);
    header += '\0';
    return header;
}

} // namespace

Digest gitoid_of(std::string_view content) noexcept
{
    return Sha256().update(blob_header(content.size())).update(content).finish();
}

std::string gitoid_uri(const Digest& gitoid)
{
    return fmt::format("gitoid:blob:sha256:{}", gitoid.hex());
}

std::optional<ContentNames> name_content(int fd, const Digest& expected)
{
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return std::nullopt;
    }
    Sha256 raw;
    Sha256 git;
    Sha1 sha1;
    git.update(blob_header(static_cast<std::uint64_t>(status.st_size)));
    std::string buffer(chunk, '\0');
    off_t offset = 0;
    while (offset < status.st_size) {
        const auto got = ::pread(fd, buffer.data(), buffer.size(), offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return std::nullopt;
        }
        const auto part = std::string_view(buffer).substr(0, static_cast<std::size_t>(got));
        raw.update(part);
        git.update(part);
        sha1.update(part);
        offset += got;
    }
    if (raw.finish() != expected) {
        return std::nullopt;
    }
    return ContentNames{git.finish(), sha1.finish_hex()};
}

} // namespace stemma::exporting
