#include "stemma/export/cyclonedx.hpp"

#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "parts.hpp"
#include "words.hpp"

namespace stemma::exporting {

namespace {

using model::ArtifactKind;
using model::FileIndex;
using model::Manifest;
using model::StepKind;

Json property(std::string_view name, std::string_view value)
{
    return {{"name", name}, {"value", value}};
}

std::string_view component_type(ArtifactKind kind)
{
    switch (kind) {
    case ArtifactKind::executable:
    case ArtifactKind::package:
        return "application";
    case ArtifactKind::archive:
    case ArtifactKind::shared_library:
        return "library";
    default:
        return "file";
    }
}

std::string file_ref(FileIndex file)
{
    return fmt::format("file-{}", file);
}

std::string step_ref(StepIndex step)
{
    return fmt::format("step-{}", step);
}

class Bom {
public:
    Bom(const Manifest& manifest,
        std::span<const Deliverable> deliverables,
        const ContentTable& names)
        : manifest_(manifest),
          deliverables_(deliverables),
          names_(names),
          graph_(manifest),
          parts_(parts_of(manifest, graph_, deliverables)),
          linked_(linked_into(parts_.closure.steps))
    {
    }

    Json make(const Tool& tool)
    {
        Json components = Json::array();
        for (const auto& purl : linked_) {
            components.push_back(distribution_package(purl));
        }
        for (std::size_t i = 0; i < deliverables_.size(); ++i) {
            if (deliverables_.size() > 1) {
                components.push_back(deliverable(i));
            }
        }
        return {{"bomFormat", "CycloneDX"},
                {"components", std::move(components)},
                {"compositions", compositions()},
                {"dependencies", dependencies()},
                {"formulation", Json::array({formula()})},
                {"metadata", metadata(tool)},
                {"serialNumber", "urn:uuid:" + export_uuid(manifest_, deliverables_, "cyclonedx")},
                {"specVersion", "1.6"},
                {"version", 1}};
    }

private:
    /// Distribution packages whose archives or object files a link step read: parts of them are in
    /// what it made.
    std::set<std::string> linked_into(const std::vector<StepIndex>& steps) const
    {
        std::set<std::string> purls;
        for (const auto index : steps) {
            const auto& step = manifest_.steps[index];
            for (const auto file : step.inputs) {
                if (is_grouped(manifest_, graph_, file) &&
                    role_of(manifest_, graph_, step, file) == Role::static_link) {
                    purls.insert(*manifest_.files[file].package);
                }
            }
        }
        return purls;
    }

    Json with_content(Json component, const Digest& digest) const
    {
        component["hashes"] = Json::array({{{"alg", "SHA-256"}, {"content", digest.hex()}}});
        const auto found = names_.find(digest);
        if (found != names_.end()) {
            component["omniborId"] = Json::array({gitoid_uri(found->second.gitoid)});
        }
        return component;
    }

    static std::string package_ref(const std::string& purl) { return "package:" + purl; }

    Json distribution_package(const std::string& purl) const
    {
        const auto split = split_purl(purl);
        Json component = {{"bom-ref", package_ref(purl)},
                          {"name", name_text(split ? split->name : purl)},
                          {"purl", purl},
                          {"type", "library"}};
        if (split && !split->version.empty()) {
            component["version"] = name_text(split->version);
        }
        return component;
    }

    Json deliverable(std::size_t number) const
    {
        const auto& made = deliverables_[number];
        Json component = with_content({{"bom-ref", fmt::format("deliverable-{}", number)},
                                       {"name", name_text(made.name)},
                                       {"type", component_type(made.kind)}},
                                      made.sha256);
        if (made.version) {
            component["version"] = name_text(*made.version);
        }
        if (made.purl) {
            component["purl"] = *made.purl;
        }
        if (made.build_id) {
            component["properties"] =
                Json::array({property("stemma:build-id", name_text(*made.build_id))});
        }
        Json contents = Json::array();
        for (const auto& content : made.contents) {
            if (content.sha256) {
                contents.push_back(payload(number, contents.size(), content));
            }
        }
        if (!contents.empty()) {
            component["components"] = std::move(contents);
        }
        return component;
    }

    Json payload(std::size_t number, std::size_t entry, const Deliverable::Content& content) const
    {
        Json component = with_content({{"bom-ref", fmt::format("payload-{}-{}", number, entry)},
                                       {"name", name_text(content.path)},
                                       {"type", "file"}},
                                      *content.sha256);
        component["properties"] = Json::array({property("stemma:link", name_text(content.link))});
        if (content.from) {
            component["properties"].push_back(property("stemma:from", file_ref(*content.from)));
        }
        return component;
    }

    Json file_component(FileIndex index) const
    {
        const auto& file = manifest_.files[index];
        Json properties = Json::array({property("stemma:state", to_string(file.state))});
        if (!file.repo.empty()) {
            properties.push_back(property("stemma:repository", name_text(file.repo)));
        }
        if (const auto& blob = file.index_blob ? file.index_blob : file.blob) {
            properties.push_back(property("stemma:git-blob", name_text(*blob)));
        }
        Json component = with_content({{"bom-ref", file_ref(index)},
                                       {"name", name_text(file.path)},
                                       {"properties", std::move(properties)},
                                       {"type", "file"}},
                                      file.sha256);
        if (const auto uri = file_uri(manifest_, file); uri && !file.repo.empty()) {
            component["externalReferences"] = Json::array({{{"type", "vcs"}, {"url", *uri}}});
        }
        return component;
    }

    /// A file's own component, or that of its distribution package.
    std::string ref_of(FileIndex file) const
    {
        return is_grouped(manifest_, graph_, file) && !is_listed(file)
                   ? package_ref(*manifest_.files[file].package)
                   : file_ref(file);
    }

    bool is_listed(FileIndex file) const
    {
        return std::binary_search(parts_.files.begin(), parts_.files.end(), file);
    }

    Json references(const std::vector<FileIndex>& files, bool listed_only) const
    {
        std::set<std::string> refs;
        for (const auto file : files) {
            if (!listed_only || is_listed(file)) {
                refs.insert(ref_of(file));
            }
        }
        Json list = Json::array();
        for (const auto& ref : refs) {
            list.push_back({{"resource", {{"ref", ref}}}});
        }
        return list;
    }

    Json task(StepIndex index) const
    {
        const auto& step = manifest_.steps[index];
        Json command = Json::object();
        command["executed"] = name_text(shell_join(step.argv));
        Json properties = Json::array({property("stemma:kind", to_string(step.kind)),
                                       property("stemma:cwd", name_text(step.cwd))});
        if (!step.target.empty()) {
            properties.push_back(property("stemma:target", name_text(step.target)));
        }
        Json task = {{"bom-ref", step_ref(index)},
                     {"inputs", references(step.inputs, false)},
                     {"outputs", references(step.outputs, true)},
                     {"properties", std::move(properties)},
                     {"steps", Json::array({{{"commands", Json::array({std::move(command)})}}})},
                     {"taskTypes", Json::array({task_type(step.kind)})},
                     {"uid", step_ref(index)}};
        if (step.tool) {
            task["resourceReferences"] = Json::array({{{"ref", ref_of(*step.tool)}}});
        }
        return task;
    }

    static std::string_view task_type(StepKind kind)
    {
        return kind == StepKind::copy || kind == StepKind::install ? "copy" : "build";
    }

    Json task_dependencies() const
    {
        Json list = Json::array();
        for (const auto index : parts_.closure.steps) {
            std::set<StepIndex> before;
            for (const auto input : manifest_.steps[index].inputs) {
                const auto& makers = graph_.makers(input);
                before.insert(makers.begin(), makers.end());
            }
            before.erase(index);
            Json refs = Json::array();
            for (const auto step : before) {
                refs.push_back(step_ref(step));
            }
            list.push_back({{"dependsOn", std::move(refs)}, {"ref", step_ref(index)}});
        }
        return list;
    }

    Json formula() const
    {
        Json components = Json::array();
        for (const auto file : parts_.files) {
            components.push_back(file_component(file));
        }
        for (const auto& [purl, files] : parts_.purls) {
            if (!linked_.contains(purl)) {
                components.push_back(distribution_package(purl));
            }
        }
        Json tasks = Json::array();
        for (const auto step : parts_.closure.steps) {
            tasks.push_back(task(step));
        }
        const auto& run = manifest_.run;
        Json workflow = {{"bom-ref", "build"},
                         {"name", name_text(manifest_.build.name)},
                         {"taskDependencies", task_dependencies()},
                         {"taskTypes", Json::array({"build"})},
                         {"tasks", std::move(tasks)},
                         {"timeEnd", format_time(run.finished)},
                         {"timeStart", format_time(run.started)},
                         {"uid", run.id}};
        return {{"components", std::move(components)},
                {"workflows", Json::array({std::move(workflow)})}};
    }

    Json dependencies() const
    {
        Json list = Json::array();
        Json all = Json::array();
        for (std::size_t i = 0; i < deliverables_.size(); ++i) {
            Json refs = Json::array();
            for (const auto& purl : linked_into(graph_.closure(deliverables_[i].roots).steps)) {
                refs.push_back(package_ref(purl));
            }
            const auto ref = fmt::format("deliverable-{}", i);
            all.push_back(ref);
            list.push_back({{"dependsOn", std::move(refs)}, {"ref", ref}});
        }
        if (deliverables_.size() != 1) {
            list.push_back({{"dependsOn", std::move(all)}, {"ref", "project"}});
        }
        return list;
    }

    Json compositions() const
    {
        Json assemblies = Json::array();
        for (std::size_t i = 0; i < deliverables_.size(); ++i) {
            assemblies.push_back(fmt::format("deliverable-{}", i));
        }
        return Json::array({{{"aggregate", manifest_.complete() ? "complete" : "incomplete"},
                             {"assemblies", std::move(assemblies)}}});
    }

    Json metadata(const Tool& tool) const
    {
        Json component;
        if (deliverables_.size() == 1) {
            component = deliverable(0);
        } else {
            component = {{"bom-ref", "project"},
                         {"name", name_text(manifest_.build.name)},
                         {"type", "application"}};
            if (manifest_.build.commit) {
                component["version"] = name_text(*manifest_.build.commit);
            }
        }
        Json properties = Json::array();
        for (const auto& hole : manifest_.holes) {
            properties.push_back(
                property("stemma:hole",
                         fmt::format("{}: {}", name_text(hole.program), name_text(hole.reason))));
        }
        Json metadata = {
            {"component", std::move(component)},
            {"timestamp", format_time(manifest_.run.finished)},
            {"tools",
             {{"components",
               Json::array(
                   {{{"name", tool.name}, {"type", "application"}, {"version", tool.version}}})}}}};
        if (!properties.empty()) {
            metadata["properties"] = std::move(properties);
        }
        return metadata;
    }

    const Manifest& manifest_;
    std::span<const Deliverable> deliverables_;
    const ContentTable& names_;
    const Graph graph_;
    const Parts parts_;
    const std::set<std::string> linked_;
};

} // namespace

Json cyclonedx_bom(const Manifest& manifest,
                   std::span<const Deliverable> deliverables,
                   const ContentTable& names,
                   const Tool& tool)
{
    return Bom(manifest, deliverables, names).make(tool);
}

} // namespace stemma::exporting
