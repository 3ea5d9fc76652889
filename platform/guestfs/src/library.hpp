#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

/// libguestfs' C interface, as far as it is used here. Private to this library.
///
/// The declarations repeat <guestfs.h>, so that neither building nor installing Stemma needs it.
/// libguestfs promises that functions and structures once published do not change (guestfs(3),
/// "ABI guarantee"); a test compares them with the header where that is installed.
namespace stemma::guestfs {

extern "C" {
struct guestfs_h;

struct GuestfsStat { ///< struct guestfs_statns
    std::int64_t dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks;
    std::int64_t atime_sec, atime_nsec, mtime_sec, mtime_nsec, ctime_sec, ctime_nsec;
    std::int64_t spare[6]; // NOLINT(modernize-avoid-c-arrays): C's layout
};
struct GuestfsStatList {
    std::uint32_t len;
    GuestfsStat* val;
};
struct GuestfsXattr {
    char* name;
    std::uint32_t length;
    char* value;
};
struct GuestfsXattrList {
    std::uint32_t len;
    GuestfsXattr* val;
};
struct GuestfsDirent {
    std::int64_t ino;
    char kind;
    char* name;
};
struct GuestfsDirentList {
    std::uint32_t len;
    GuestfsDirent* val;
};
struct GuestfsVersion {
    std::int64_t major, minor, release;
    char* extra;
};
/// The first members of struct guestfs_add_drive_opts_argv; it only grows, and `mask` says which
/// members are looked at.
struct GuestfsDrive {
    std::uint64_t mask;
    int read_only;
    const char* format;
    const char* interface;
    const char* name;
    const char* label;
    const char* protocol;
    char* const* server;
};
}

/// The functions, found in the library that was loaded.
struct Functions {
    guestfs_h* (*create)();
    void (*close)(guestfs_h*);
    const char* (*last_error)(guestfs_h*);
    int (*last_errno)(guestfs_h*);
    void (*set_error_handler)(guestfs_h*, void (*)(guestfs_h*, void*, const char*), void*);
    int (*set_backend)(guestfs_h*, const char*);
    int (*set_backend_setting)(guestfs_h*, const char*, const char*);
    int (*set_tmpdir)(guestfs_h*, const char*);
    int (*add_drive)(guestfs_h*, const char*, const GuestfsDrive*);
    int (*launch)(guestfs_h*);
    char** (*list_filesystems)(guestfs_h*);
    int (*mount_options)(guestfs_h*, const char*, const char*, const char*);
    int (*umount_all)(guestfs_h*);
    GuestfsStat* (*statns)(guestfs_h*, const char*);
    GuestfsStat* (*lstatns)(guestfs_h*, const char*);
    GuestfsStatList* (*lstatnslist)(guestfs_h*, const char*, char* const*);
    GuestfsXattrList* (*lgetxattrs)(guestfs_h*, const char*);
    GuestfsXattrList* (*lxattrlist)(guestfs_h*, const char*, char* const*);
    GuestfsDirentList* (*readdir)(guestfs_h*, const char*);
    char* (*readlink)(guestfs_h*, const char*);
    char* (*pread)(guestfs_h*, const char*, int, std::int64_t, std::size_t*);
    GuestfsVersion* (*version)(guestfs_h*);
    void (*free_statns)(GuestfsStat*);
    void (*free_statns_list)(GuestfsStatList*);
    void (*free_xattr_list)(GuestfsXattrList*);
    void (*free_dirent_list)(GuestfsDirentList*);
    void (*free_version)(GuestfsVersion*);
};

/// Loads the library into this process, for as long as it lives.
/// throws  unsupported: it is not installed, or lacks a function
const Functions& load_library();

/// "1.48.6".
std::string version_of(const Functions& functions, guestfs_h* handle);

/// What to install, for hints.
std::string packages_to_install();

} // namespace stemma::guestfs
