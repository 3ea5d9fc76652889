#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/volume/container.hpp"

#include <fmt/format.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

/// The first byte chooses the format, the rest is the file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma;
    if (size == 0) {
        return 0;
    }
    const Fd file(::memfd_create("container", MFD_CLOEXEC));
    if (!file || ::write(file.get(), data + 1, size - 1) != static_cast<ssize_t>(size - 1)) {
        return 0;
    }
    const auto path = fmt::format("/proc/self/fd/{}", file.get());
    try {
        (void)volume::sniff_container(path);
        const auto found =
            volume::inspect_container(path, static_cast<volume::ContainerFormat>(data[0] % 6));
        if (found.virtual_size > std::uint64_t{1} << 56U || found.extents.size() > 4096) {
            std::abort(); // bounds that others rely on
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
