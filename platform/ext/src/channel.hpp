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

/// ext2fs_open2() on `target`, which must outlive the answer.
errcode_t open_on(ChannelTarget& target, int flags, ext2_filsys* fs);

} // namespace stemma::ext
