#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/jail/tree.hpp"
#include "stemma/volume/mapped.hpp"
#include "stemma/volume/volume.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// File systems that only a kernel reads (XFS, btrfs, …), and what only a kernel puts together
/// (RAID, LVM that is not linear): libguestfs boots a small VM that looks at them.
namespace stemma::guestfs {

/// A part of a disk that the VM gets as a drive of its own, read-only.
struct Drive {
    std::string name; ///< what messages call it: "partition 3"
    std::vector<volume::Piece> pieces;
};

struct OpenOptions {
    /// The file system to take, as libguestfs names it ("/dev/vg/root"); empty: the one that looks
    /// like a root file system, else the only one.
    std::string wanted{};
    jail::Explain explain{};
    const Cancel* cancel = nullptr;
    /// For the VM's start, and for each answer: a start takes seconds with KVM, about half a minute
    /// without, and a minute more the first time, when libguestfs makes its appliance.
    std::chrono::milliseconds patience = std::chrono::minutes(5);
};

/// Starts the VM and opens a file system in it. libguestfs runs in a process apart, which starts no
/// program after the VM; that process, the VM, and what serves it the disk end with the answer, and
/// when the calling thread ends. The VM has no network. What it writes (a journal that is replayed)
/// goes to a file that is thrown away.
///
/// disk    owned by the answer; must not be used elsewhere meanwhile
/// throws  unsupported: libguestfs is not installed (the hint names what to install), or finds no
///         file system that its kernel can read; usage: several look like a root; remote: the VM
///         does not start, or gives no answer; interrupted
/// cost    one VM per call; then 1 to 10 ms for a question
std::unique_ptr<jail::Tree> open_tree(std::unique_ptr<volume::Volume> disk,
                                      const std::vector<Drive>& drives,
                                      const OpenOptions& options);

/// What of libguestfs is on this machine.
struct Installation {
    std::string version; ///< "1.48.6"; empty: the library cannot be loaded
    std::string missing; ///< what it cannot work without, in words; empty: nothing
    std::string remedy;  ///< the command that mends it
};

/// Loads the library to ask it. Whether a VM starts is known when one does.
Installation find_installation();

} // namespace stemma::guestfs
