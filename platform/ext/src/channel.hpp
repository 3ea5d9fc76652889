#pragma once

#include "stemma/volume/volume.hpp"

#include <ext2fs/ext2fs.h>

#include <exception>

/// libext2fs reading and writing through a Volume. Private to this library.
namespace stemma::ext {

/// What an io_channel works on. An exception of the volume cannot cross libext2fs (it is C): it is
/// kept here and rethrown by Session::check().
struct ChannelTarget {
    volume::Volume* volume = nullptr;
    std::exception_ptr failure = nullptr;
};

/// Where a superblock lies; zeros for the usual place and the size that it says.
struct SuperblockPlace {
    int block = 0;
    unsigned block_size = 0; ///< bytes
};

/// ext2fs_open2() on `target`, which must outlive the answer.
errcode_t
open_on(ChannelTarget& target, int flags, const SuperblockPlace& superblock, ext2_filsys* fs);

} // namespace stemma::ext
