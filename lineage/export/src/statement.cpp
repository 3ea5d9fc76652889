#include "stemma/export/statement.hpp"

#include <fmt/format.h>

#include "graph.hpp"
#include "words.hpp"

namespace stemma::exporting {

namespace {

using model::FileIndex;
using model::FileState;
using model::Manifest;

Json digests_of(const model::File& file)
{
    Json digests = {{"sha256", file.sha256.hex()}};
    if (const auto& blob = file.index_blob ? file.index_blob : file.blob) {
        digests["gitBlob"] = *blob;
    }
    return digests;
}

Json dependency(const Manifest& manifest, FileIndex index, std::string_view role)
{
    const auto& file = manifest.files[index];
    Json annotations = {{"role", role}, {"state", to_string(file.state)}};
    if (!file.repo.empty()) {
        annotations["repository"] = name_text(file.repo);
    }
    if (file.state == FileState::generated) {
        annotations["unrecorded"] = true; // generated, and no step of this build made it
    }
    Json dependency = {{"annotations", std::move(annotations)},
                       {"digest", digests_of(file)},
                       {"name", name_text(file.path)}};
    if (const auto uri = file_uri(manifest, file)) {
        dependency["uri"] = *uri;
    }
    return dependency;
}

/// The repository's state, first of the dependencies.
Json checkout(const Manifest& manifest)
{
    const auto& build = manifest.build;
    Json dirty = Json::array();
    for (const auto& path : build.dirty) {
        dirty.push_back(name_text(path));
    }
    Json dependency = {{"annotations", {{"dirty", std::move(dirty)}, {"role", "checkout"}}},
                       {"digest", {{"gitCommit", *build.commit}}},
                       {"name", name_text(build.repo)}};
    if (const auto uri = repository_uri(build.repo)) {
        dependency["uri"] = *uri + "@" + *build.commit;
    }
    return dependency;
}

Json dependencies(const Manifest& manifest, const Closure& closure)
{
    Json list = Json::array();
    if (manifest.build.commit) {
        list.push_back(checkout(manifest));
    }
    for (const auto file : closure.leaves) {
        list.push_back(dependency(manifest, file, "input"));
    }
    for (const auto file : closure.tools) {
        list.push_back(dependency(manifest, file, "tool"));
    }
    return list;
}

Json step_json(const Manifest& manifest, const model::Step& step)
{
    Json argv = Json::array();
    for (const auto& word : step.argv) {
        argv.push_back(json_text(word));
    }
    Json outputs = Json::array();
    for (const auto file : step.outputs) {
        outputs.push_back({{"name", name_text(manifest.files[file].path)},
                           {"sha256", manifest.files[file].sha256.hex()}});
    }
    return {{"argv", std::move(argv)},
            {"cwd", json_text(step.cwd)},
            {"kind", to_string(step.kind)},
            {"outputs", std::move(outputs)},
            {"target", name_text(step.target)},
            {"tool", step.tool ? Json(manifest.files[*step.tool].sha256.hex()) : Json(nullptr)}};
}

Json internal_parameters(const Manifest& manifest, const Closure& closure)
{
    Json steps = Json::array();
    for (const auto step : closure.steps) {
        steps.push_back(step_json(manifest, manifest.steps[step]));
    }
    return {{"steps", std::move(steps)}, {"toolchain", name_text(manifest.build.toolchain)}};
}

Json external_parameters(const Manifest& manifest, const Deliverable& deliverable)
{
    const auto& build = manifest.build;
    return {{"branch", json_or_null(build.branch)},
            {"commit", json_or_null(build.commit)},
            {"name", name_text(build.name)},
            {"repository", name_text(build.repo)},
            {"target", name_text(deliverable.target)}};
}

Json run_details(const Manifest& manifest, const Tool& tool)
{
    Json holes = Json::array();
    for (const auto& hole : manifest.holes) {
        holes.push_back({{"pid", hole.pid},
                         {"program", name_text(hole.program)},
                         {"reason", name_text(hole.reason)}});
    }
    const auto& run = manifest.run;
    return {{"builder",
             {{"id", "urn:stemma:machine:" + percent_encoded(run.machine)},
              {"version", {{tool.name, tool.version}}}}},
            {"byproducts", Json::array()},
            {"metadata",
             {{"finishedOn", format_time(run.finished)},
              {"invocationId", run.id},
              {"startedOn", format_time(run.started)},
              {"stemma_complete", manifest.complete()},
              {"stemma_holes", std::move(holes)}}}};
}

} // namespace

Json slsa_statement(const Manifest& manifest, const Deliverable& deliverable, const Tool& tool)
{
    auto closure = Graph(manifest).closure(deliverable.roots);
    // An artifact that no step made is the subject, not something that it depends on.
    std::erase_if(closure.leaves, [&](FileIndex file) {
        return manifest.files[file].sha256 == deliverable.sha256;
    });
    Json subject = {{"digest", {{"sha256", deliverable.sha256.hex()}}},
                    {"name", name_text(deliverable.name)}};
    if (deliverable.purl) {
        subject["uri"] = *deliverable.purl;
    }
    Json definition = {{"buildType", slsa_build_type},
                       {"externalParameters", external_parameters(manifest, deliverable)},
                       {"internalParameters", internal_parameters(manifest, closure)},
                       {"resolvedDependencies", dependencies(manifest, closure)}};
    return {
        {"_type", statement_type},
        {"predicate",
         {{"buildDefinition", std::move(definition)}, {"runDetails", run_details(manifest, tool)}}},
        {"predicateType", slsa_predicate_type},
        {"subject", Json::array({std::move(subject)})}};
}

} // namespace stemma::exporting
