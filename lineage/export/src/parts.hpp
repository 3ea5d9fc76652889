#pragma once

#include "stemma/export/deliverable.hpp"

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "graph.hpp"

namespace stemma::exporting {

/// What an SBOM lists of a build: the files of some deliverables' closure, those of one
/// distribution package taken together.
struct Parts {
    Closure closure;
    std::vector<model::FileIndex> files;                        ///< listed one by one; sorted
    std::map<std::string, std::vector<model::FileIndex>> purls; ///< the others, by their package
};

Parts parts_of(const model::Manifest& manifest,
               const Graph& graph,
               std::span<const Deliverable> deliverables);

/// True for a file that is listed with its package: it belongs to one, and nobody here made it.
bool is_grouped(const model::Manifest& manifest, const Graph& graph, model::FileIndex file);

/// How a file that a step read goes into what the step made.
///
/// A shared library of the system is a mere dependency even of a link step: the linker's own
/// libraries are read in the same way as those that it links with, so nothing more is known.
enum class Role {
    source,       ///< of a repository or of this build
    dynamic_link, ///< a shared library of this build, read by a link step
    static_link,  ///< an archive or object file of the system, read by a link step
    dependency,   ///< anything else of the system
};
Role role_of(const model::Manifest& manifest,
             const Graph& graph,
             const model::Step& step,
             model::FileIndex input);

/// Identity of an export: "stemma" UUIDv5 of the format, the manifest and the deliverables.
std::string export_uuid(const model::Manifest& manifest,
                        std::span<const Deliverable> deliverables,
                        std::string_view format);

} // namespace stemma::exporting
