#pragma once

#include "stemma/export/deliverable.hpp"
#include "stemma/export/gitoid.hpp"

#include <span>

namespace stemma::exporting {

/// A CycloneDX 1.6 BOM (JSON) of the deliverables, with the build as its formulation.
///
/// - metadata.component is the deliverable, or the project when there are several.
/// - components: the deliverables, a package's payload as their nested files, and the distribution
///   packages that were statically linked into them.
/// - formulation: one workflow whose tasks are the steps (inputs, outputs, the command line); its
///   components are sources, intermediate files, tools and the packages that those came from.
/// - compositions: "complete", or "incomplete" when the build had holes.
/// - hashes are SHA-256; omniborId where the content is in `names`.
///
/// Same arguments, same value; the serial number is a name-based UUID, the timestamp the build's
/// end.
Json cyclonedx_bom(const model::Manifest& manifest,
                   std::span<const Deliverable> deliverables,
                   const ContentTable& names,
                   const Tool& tool);

} // namespace stemma::exporting
