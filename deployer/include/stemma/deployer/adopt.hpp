#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/lineage/store.hpp"
#include "stemma/virt/domain_xml.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// On which image a VM that others made stands, found by content.
struct InferredImage {
    std::string digest; ///< empty: unknown
    std::string name;
    /// "base /var/lib/…/golden.qcow2", or why nothing is known.
    std::string how;
};

/// Looks at the files below the first disk, top first, and compares what they hold with the images.
/// Only files of an image's size are read, and the top file only when the VM stands still: a disk
/// that is being written has no content to speak of. Changes nothing.
///
/// images  candidates
/// throws  interrupted; what goes wrong with a file is told in `how`
InferredImage infer_image(const virt::DomainDescription& domain,
                          bool running,
                          const std::vector<lineage::ImageInfo>& images,
                          const Cancel& cancel);

} // namespace stemma::deployer
