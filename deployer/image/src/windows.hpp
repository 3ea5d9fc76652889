#pragma once

#include "stemma/volume/filesystem.hpp"

#include <string>

namespace stemma::image {

/// What the registry of an installed Windows says of it.
struct WindowsVersion {
    std::string name;     ///< "Windows 11 Pro 23H2 (build 22631.2861)"; empty: no Windows
    bool unclean = false; ///< the registry's newest changes lie in its log files
};

/// Reads /Windows/System32/config/SOFTWARE, in a jail.
/// throws  corrupt: it is damaged; unsupported: larger than 256 MiB
WindowsVersion windows_version(volume::Filesystem& tree);

/// What is installed: os-release's PRETTY_NAME, else Windows' name; empty when neither says it.
std::string os_name(volume::Filesystem& tree);

} // namespace stemma::image
