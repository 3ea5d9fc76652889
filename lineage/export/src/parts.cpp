#include "parts.hpp"

#include "stemma/core/uuid.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "words.hpp"

namespace stemma::exporting {

using model::FileIndex;
using model::Manifest;

bool is_grouped(const Manifest& manifest, const Graph& graph, FileIndex file)
{
    return manifest.files[file].package && graph.makers(file).empty();
}

Parts parts_of(const Manifest& manifest,
               const Graph& graph,
               std::span<const Deliverable> deliverables)
{
    std::set<FileIndex> roots;
    for (const auto& deliverable : deliverables) {
        roots.insert(deliverable.roots.begin(), deliverable.roots.end());
    }
    const std::vector<FileIndex> list(roots.begin(), roots.end());
    Parts parts;
    parts.closure = graph.closure(list);
    for (const auto* files : {&parts.closure.made, &parts.closure.leaves, &parts.closure.tools}) {
        for (const auto file : *files) {
            if (is_grouped(manifest, graph, file) && !roots.contains(file)) {
                parts.purls[*manifest.files[file].package].push_back(file);
            } else {
                parts.files.push_back(file);
            }
        }
    }
    std::sort(parts.files.begin(), parts.files.end());
    parts.files.erase(std::unique(parts.files.begin(), parts.files.end()), parts.files.end());
    return parts;
}

Role role_of(const Manifest& manifest, const Graph& graph, const model::Step& step, FileIndex input)
{
    const auto& file = manifest.files[input];
    const auto name = base_name(file.path);
    const bool links = step.kind == model::StepKind::link;
    if (file.state == model::FileState::system && graph.makers(input).empty()) {
        const bool is_static = name.ends_with(".a") || name.ends_with(".o");
        return links && is_static ? Role::static_link : Role::dependency;
    }
    const bool shared = name.ends_with(".so") || name.find(".so.") != std::string_view::npos;
    return links && shared ? Role::dynamic_link : Role::source;
}

std::string export_uuid(const Manifest& manifest,
                        std::span<const Deliverable> deliverables,
                        std::string_view format)
{
    auto identity = fmt::format("export:{}:{}", format, manifest_digest(manifest).hex());
    for (const auto& deliverable : deliverables) {
        identity += ":" + deliverable.sha256.hex();
    }
    return make_uuid5(stemma_uuid_space, identity);
}

} // namespace stemma::exporting
