#pragma once

#include <sys/types.h>

#include <string>

namespace stemma::hooks {

/// How a program gets into memory, as far as it matters to a library that wants to come along.
enum class Loading {
    loaded,       ///< by the C library's loader for 64-bit programs
    is_static,    ///< by nobody but the kernel
    other_loader, ///< that of another C library
    other_class,  ///< 32-bit: the loader complains of a 64-bit library
    gains_rights, ///< setuid or setgid for somebody else: the loader takes no library from him
    unknown,      ///< cannot be read, or no ELF file
};

/// path  without links; of a script its interpreter counts
/// user, group  of the process that runs it
Loading loading_of(const std::string& path, uid_t user, gid_t group);

} // namespace stemma::hooks
