#pragma once

#include "stemma/core/process.hpp"

#include <string_view>

namespace stemma::image {

/// Says in our words why qemu-img failed.
///
/// what    "copy disk.qcow2": cannot …
/// throws  conflict: somebody uses the image; else io
[[noreturn]] void refuse_disk_tool(const CommandResult& result, std::string_view what);

} // namespace stemma::image
