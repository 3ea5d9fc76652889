#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace stemma::hooks {

/// The system calls that the observer hears of, whatever their number on the caller's ABI.
enum class Call {
    open,
    openat,
    openat2,
    creat,
    truncate,
    execve,
    execveat,
    rename,
    renameat,
    renameat2,
    link,
    linkat,
    symlink,
    symlinkat,
    chdir,
    exit_group,
    io_uring,
    x32, ///< any call of that ABI: none of them is understood
    unknown,
};

/// The filter for seccomp(2): notifies for the calls above, allows everything else. Opens of
/// folders and O_PATH opens are left out: they read no content. So are opens for reading from the
/// fast lane's place (../lane/layout.hpp).
std::vector<sock_filter> make_filter();

/// arch  AUDIT_ARCH_*; number  of that architecture
Call call_of(std::uint32_t arch, int number) noexcept;

/// True when pointers of that architecture have four bytes.
bool is_narrow(std::uint32_t arch) noexcept;

} // namespace stemma::hooks
