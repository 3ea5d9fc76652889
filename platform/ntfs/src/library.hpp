#pragma once

#include <sys/stat.h> // where st_mtime is: without it they define struct timespec again

/// libntfs-3g's headers, which were written for C and for its own configuration. Private to this
/// library; include it last.
extern "C" {
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/device.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/layout.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/ntfstime.h>
#include <ntfs-3g/reparse.h>
#include <ntfs-3g/types.h>
#include <ntfs-3g/volume.h>
}

#undef min
#undef max
