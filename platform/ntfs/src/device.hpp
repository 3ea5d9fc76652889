#pragma once

#include "stemma/volume/volume.hpp"

#include <exception>

struct ntfs_device;

/// libntfs-3g reading through a Volume. Private to this library.
namespace stemma::ntfs {

/// What a device works on. An exception of the volume cannot cross the library (it is C): it is
/// kept here.
struct DeviceTarget {
    volume::Volume* volume = nullptr;
    std::uint64_t position = 0;
    std::exception_ptr failure = nullptr;
};

/// nullptr when no memory is left. `target` must outlive the answer, which ntfs_umount() frees.
ntfs_device* make_device(DeviceTarget& target);

} // namespace stemma::ntfs
