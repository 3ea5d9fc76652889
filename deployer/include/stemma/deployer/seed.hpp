#pragma once

#include "stemma/deployer/release.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stemma::deployer {

struct SeedFile {
    std::string name; ///< "user-data", …: plain ASCII, at most 26 characters
    std::string content;
};

/// A disk image that cloud-init's datasource NoCloud takes as its seed: a FAT12 file system with
/// the label CIDATA and these files in its root, in this order. No partition table. The same files
/// give the same bytes.
///
/// Layout, in sectors of 512 bytes: boot sector, two equal tables, one sector of root folder, one
/// sector per cluster. 64 KiB of user-data make an image of 66 KiB.
///
/// throws  usage: over 1 MiB in all, no plain names, a name twice, or more names than the root
/// folder holds source  Microsoft "FAT: General Overview of On-Disk Format" 1.03;
///         cloudinit.readthedocs.io, datasource NoCloud
std::string make_seed(const std::vector<SeedFile>& files);

/// The seed of one VM: user-data, meta-data (its UUID as instance-id and its name as
/// local-hostname, unless the release file has its own) and network-config where there is one.
/// Reads the files that the release file names.
/// throws  not_found, io; usage: as make_seed()
std::string seed_of(const CloudInit& cloud, std::string_view release, std::string_view vm);

} // namespace stemma::deployer
