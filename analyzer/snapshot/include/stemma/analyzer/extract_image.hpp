#pragma once

#include "stemma/analyzer/extract.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace stemma::analyzer {

/// As extract(), of the root file system of a disk, all of it in a jail: the file system's reader
/// and the parsers of what the guest wrote.
///
/// disk    nothing else may use it meanwhile
/// throws  as disk::open_root(); interrupted
FeatureSet extract_image(std::unique_ptr<volume::Volume> disk,
                         std::optional<std::uint32_t> partition,
                         const Definition& definition,
                         const ExtractOptions& options);

} // namespace stemma::analyzer
