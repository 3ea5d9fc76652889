#pragma once

#include "stemma/deployer/release.hpp"

#include <string>
#include <string_view>

/// How the disks of a VM are called: in a folder of its own, and behind "vm~NAME~" in a pool.
namespace stemma::deployer {

/// With an ending of another kind it is a snapshot's: somebody took one of the disk.
inline constexpr std::string_view data_disk_ending = ".qcow2";
inline constexpr std::string_view data_disk_beginning = "data-";

inline std::string data_disk_name(const DataDisk& disk)
{
    return std::string(data_disk_beginning) + disk.name + std::string(data_disk_ending);
}

/// The disk's name alone, of a path in either place.
inline std::string_view disk_name_in(std::string_view path)
{
    return path.substr(path.find_last_of("/~") + 1);
}

} // namespace stemma::deployer
