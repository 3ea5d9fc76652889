#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/guestfs/guestfs.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "library.hpp"

namespace stemma::guestfs {

namespace {

namespace fs = std::filesystem;

bool is_set(const char* name)
{
    const char* value = ::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody writes it
    return value != nullptr && *value != '\0';
}

/// supermin takes a kernel of /boot that it can read and whose modules are there.
bool has_kernel()
{
    std::error_code none;
    for (const auto& entry : fs::directory_iterator("/boot", none)) {
        const auto name = entry.path().filename().string();
        constexpr std::string_view prefix = "vmlinuz-";
        if (name.starts_with(prefix) && ::access(entry.path().c_str(), R_OK) == 0 &&
            fs::exists(fs::path("/lib/modules") / name.substr(prefix.size()), none)) {
            return true;
        }
    }
    for (const auto& entry : fs::directory_iterator("/lib/modules", none)) {
        if (::access((entry.path() / "vmlinuz").c_str(), R_OK) == 0) {
            return true;
        }
    }
    return false;
}

std::string version_here()
{
    try {
        const auto& library = load_library();
        guestfs_h* handle = library.create();
        if (handle == nullptr) {
            return {};
        }
        auto version = version_of(library, handle);
        library.close(handle);
        return version;
    } catch (const Error&) {
        return {};
    }
}

} // namespace

Installation find_installation()
{
    Installation found{.version = version_here(), .missing = {}, .remedy = {}};
    if (found.version.empty()) {
        found.missing = "libguestfs is not installed";
        found.remedy = packages_to_install();
    } else if (is_set("LIBGUESTFS_PATH")) {
        return found; // an appliance of the user's own
    } else if (!find_program("supermin")) {
        found.missing = "supermin, which makes libguestfs' appliance, is not installed";
        found.remedy = "apt-get install supermin";
    } else if (!has_kernel() && !is_set("SUPERMIN_KERNEL")) {
        found.missing = "no kernel that can be read lies in /boot with its modules in /lib/modules";
        found.remedy = "apt-get install linux-image-cloud-amd64";
    }
    return found;
}

} // namespace stemma::guestfs
