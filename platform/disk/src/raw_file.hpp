#pragma once

#include "stemma/core/fd.hpp"
#include "stemma/volume/volume.hpp"

#include <filesystem>
#include <memory>

namespace stemma::disk {

/// Opens a raw disk for reading and keeps writers away from it, by qemu's own locks, as long as the
/// answer is open. qemu-nbd itself reads a raw disk, without a word, while a VM writes to it.
/// throws  not_found; io; conflict: a VM or another change writes to it
Fd lock_raw_file(const std::filesystem::path& path);

/// A raw disk read straight from its file, without a server. Its size is rounded up to whole
/// sectors of 512 bytes, as qemu does; holes are known without being read.
///
/// force_share  read although a running VM writes to it
/// throws       not_found; io; conflict: a VM or another change writes to it, by qemu's own locks
std::unique_ptr<volume::Volume> open_raw_file(const std::filesystem::path& path, bool force_share);

} // namespace stemma::disk
