#pragma once

#include "stemma/jail/tree.hpp"

#include <map>
#include <string>

#include "library.hpp"

namespace stemma::guestfs {

/// What was mounted on "/".
struct Mounted {
    std::string place;                            ///< "/dev/sda", "btrfsvol:/dev/sda/root", …
    std::string content;                          ///< "xfs"
    std::map<std::string, std::string> missing{}; ///< where something could not be mounted, and why
};

/// Mounts the file system that is wanted, or the one that looks like a root, read-only, and what
/// the root's /etc/fstab mounts from other subvolumes of the same btrfs. A journal that was not
/// replayed is replayed, into the VM's own overlay.
///
/// handle  launched
/// name    of the image, for messages
/// wanted  as OpenOptions::wanted
/// throws  unsupported: there is none that can be mounted; usage: several look like a root
Mounted mount_root(const Functions& library,
                   guestfs_h* handle,
                   const std::string& name,
                   const std::string& wanted,
                   const jail::Explain& explain);

} // namespace stemma::guestfs
