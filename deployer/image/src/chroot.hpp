#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/log.hpp"
#include "stemma/ext/editor.hpp"

#include <filesystem>
#include <map>
#include <string>

#include "appliance.hpp"

namespace stemma::image {

/// Work on this machine itself on an unpacked copy of an image, by the image's own programs: for
/// images that are trusted, on machines that cannot run a VM.
struct ChrootJob {
    std::string script;                                   ///< for /bin/sh, the copy being its root
    std::map<std::string, std::filesystem::path> files{}; ///< name in /run/stemma → file here
    Time now{};                                           ///< SOURCE_DATE_EPOCH of the script
    std::filesystem::path folder;                         ///< where the copy lies meanwhile
};

/// Copies the tree to a folder, runs the script there, and brings back what it changed. Nothing of
/// the image is mounted. The script is root on this machine's kernel, within namespaces of its own
/// (mounts, processes, network, IPC), and ends with all that it started; no service starts.
///
/// throws  usage: not root; not_found: no unshare or chroot here
ApplianceResult
run_in_chroot(ext::Editor& editor, const ChrootJob& job, const Cancel& cancel, Log& log);

} // namespace stemma::image
