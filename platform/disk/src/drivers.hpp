#pragma once

#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/partition.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

/// Which file systems are read by whom. Private to this library.
namespace stemma::disk {

struct Driver {
    std::string_view name;     ///< of the library or the code, for explanations
    std::string_view contents; ///< what it reads, as sniff_content() calls it, between spaces
    std::unique_ptr<volume::Filesystem> (*open)(std::unique_ptr<volume::Volume>);
};

/// nullptr when nothing here reads it.
const Driver* driver_of(std::string_view content) noexcept;

/// What can be done about a content without a driver; empty when nothing is known.
std::string advice_about(std::string_view content);

} // namespace stemma::disk
