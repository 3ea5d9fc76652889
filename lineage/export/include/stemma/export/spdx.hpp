#pragma once

#include "stemma/export/deliverable.hpp"
#include "stemma/export/gitoid.hpp"

#include <span>

namespace stemma::exporting {

/// An SPDX 2.3 document (JSON) that describes the deliverables and everything that went into them.
///
/// - A distribution package that files were read from is one SPDX package with its purl:
///   BUILD_TOOL_OF what its programs made, STATIC_LINK where a link step read its archives or
///   object files, else BUILD_DEPENDENCY_OF. (Its shared libraries too: see docs/export.md.)
/// - Every other file, made or read, is an element of its own; what a step made is GENERATED_FROM
///   what the step read. A package CONTAINS its payload.
/// - SPDX wants a SHA-1 of every element of type File, which a manifest does not hold. Files whose
///   content is in `names` are Files; the others are Packages of purpose FILE or SOURCE, which may
///   carry a SHA-256 alone.
/// - A build with holes says so in the comments of document and relationships.
///
/// Same arguments, same value; `created` is the end of the build, the namespace a name-based UUID.
Json spdx_document(const model::Manifest& manifest,
                   std::span<const Deliverable> deliverables,
                   const ContentTable& names,
                   const Tool& tool);

} // namespace stemma::exporting
