#pragma once

#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/export/deliverable.hpp"

#include <vector>

namespace stemma::cli {

/// What is to be exported of one build.
struct ExportSource {
    model::Manifest manifest;
    std::vector<exporting::Deliverable> deliverables; ///< at least one
};

/// Of the words of `stemma export`: files of manifests, else selectors of artifacts, packages and
/// builds; and its option --only.
/// throws  usage: a selection of other things; not_found: nothing to export
std::vector<ExportSource> export_sources(Context& context, const Args& args);

} // namespace stemma::cli
