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

    /// How a package takes part, in the order of precedence.
    enum class Role { tool, dynamic_link, static_link, dependency };
};

Parts parts_of(const model::Manifest& manifest,
               const Graph& graph,
               std::span<const Deliverable> deliverables);

/// True for a file that is listed with its package: it belongs to one, and nobody here made it.
bool is_grouped(const model::Manifest& manifest, const Graph& graph, model::FileIndex file);

/// By the file's name: a shared library, an archive or object file, or anything else.
Parts::Role role_of_input(const model::File& file);

/// Identity of an export: "stemma" UUIDv5 of the format, the manifest and the deliverables.
std::string export_uuid(const model::Manifest& manifest,
                        std::span<const Deliverable> deliverables,
                        std::string_view format);

} // namespace stemma::exporting
