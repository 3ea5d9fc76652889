#pragma once

#include "stemma/volume/filesystem.hpp"

#include <map>
#include <memory>
#include <string>

#include "library.hpp"

namespace stemma::guestfs {

/// The last error of a handle, with what was tried.
Error failure_of(const Functions& library, guestfs_h* handle, const std::string& what);

/// What is mounted on "/" in the VM, as a file tree. Symbolic links are followed there, and end at
/// the mounted file system's root.
///
/// handle   launched and mounted; the answer uses it, and never closes it: its process just ends
/// missing  folders whose file system could not be mounted, with the reason: what is asked about
///          their inside is an error, never empty
std::unique_ptr<volume::Filesystem> read_mounted(const Functions& library,
                                                 guestfs_h* handle,
                                                 std::string driver,
                                                 std::map<std::string, std::string> missing = {});

} // namespace stemma::guestfs
