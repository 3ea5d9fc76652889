#include "library.hpp"

#include "stemma/core/error.hpp"

#include <dlfcn.h>

namespace stemma::guestfs {

namespace {

// The address sanitizer stands before functions (xdr_…) whose real ones it looks for when the
// program starts, and not in what is loaded later: the first call would be one of nothing.
#ifdef __SANITIZE_ADDRESS__
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

constexpr const char* library_name = "libguestfs.so.0";

[[noreturn]] void refuse(const std::string& what)
{
    const char* words = ::dlerror(); // NOLINT(concurrency-mt-unsafe): glibc's is per thread
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: {}", what, words == nullptr ? "unknown" : words),
                packages_to_install());
}

template <typename Function>
void find(void* library, const char* name, Function& function)
{
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr) {
        refuse(fmt::format("this version of libguestfs has no {}", name));
    }
}

Functions find_functions(void* library)
{
    Functions all{};
    find(library, "guestfs_create", all.create);
    find(library, "guestfs_close", all.close);
    find(library, "guestfs_last_error", all.last_error);
    find(library, "guestfs_last_errno", all.last_errno);
    find(library, "guestfs_set_error_handler", all.set_error_handler);
    find(library, "guestfs_set_backend", all.set_backend);
    find(library, "guestfs_set_backend_setting", all.set_backend_setting);
    find(library, "guestfs_set_tmpdir", all.set_tmpdir);
    find(library, "guestfs_add_drive_opts_argv", all.add_drive);
    find(library, "guestfs_launch", all.launch);
    find(library, "guestfs_list_filesystems", all.list_filesystems);
    find(library, "guestfs_mount_options", all.mount_options);
    find(library, "guestfs_umount_all", all.umount_all);
    find(library, "guestfs_statns", all.statns);
    find(library, "guestfs_lstatns", all.lstatns);
    find(library, "guestfs_lstatnslist", all.lstatnslist);
    find(library, "guestfs_lgetxattrs", all.lgetxattrs);
    find(library, "guestfs_lxattrlist", all.lxattrlist);
    find(library, "guestfs_readdir", all.readdir);
    find(library, "guestfs_readlink", all.readlink);
    find(library, "guestfs_pread", all.pread);
    find(library, "guestfs_version", all.version);
    find(library, "guestfs_free_statns", all.free_statns);
    find(library, "guestfs_free_statns_list", all.free_statns_list);
    find(library, "guestfs_free_xattr_list", all.free_xattr_list);
    find(library, "guestfs_free_dirent_list", all.free_dirent_list);
    find(library, "guestfs_free_version", all.free_version);
    return all;
}

Functions load()
{
    if (sanitized) {
        throw Error(ErrorCode::unsupported,
                    "libguestfs cannot be loaded into a program with the address sanitizer",
                    packages_to_install());
    }
    void* library = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        refuse("libguestfs is not installed");
    }
    return find_functions(library);
}

} // namespace

const Functions& load_library()
{
    static const Functions functions = load(); // a library cannot be unloaded safely
    return functions;
}

std::string version_of(const Functions& functions, guestfs_h* handle)
{
    const std::unique_ptr<GuestfsVersion, void (*)(GuestfsVersion*)> version(
        functions.version(handle), functions.free_version);
    return version == nullptr
               ? "?"
               : fmt::format("{}.{}.{}", version->major, version->minor, version->release);
}

std::string packages_to_install()
{
    return "apt-get install libguestfs0 libguestfs-xfs linux-image-cloud-amd64";
}

} // namespace stemma::guestfs
