#include "stemma/export/spdx.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "parts.hpp"
#include "words.hpp"

namespace stemma::exporting {

namespace {

using model::ArtifactKind;
using model::FileIndex;
using model::FileState;
using model::Manifest;

constexpr std::string_view unknown = "NOASSERTION";

Json checksum(std::string_view algorithm, const std::string& value)
{
    return {{"algorithm", algorithm}, {"checksumValue", value}};
}

std::string_view purpose_of(ArtifactKind kind)
{
    switch (kind) {
    case ArtifactKind::executable:
        return "APPLICATION";
    case ArtifactKind::archive:
    case ArtifactKind::shared_library:
        return "LIBRARY";
    case ArtifactKind::package:
        return "INSTALL";
    default:
        return "FILE";
    }
}

class Document {
public:
    Document(const Manifest& manifest,
             std::span<const Deliverable> deliverables,
             const ContentTable& names)
        : manifest_(manifest),
          deliverables_(deliverables),
          names_(names),
          graph_(manifest),
          parts_(parts_of(manifest, graph_, deliverables))
    {
    }

    Json make(const Tool& tool)
    {
        add_distribution_packages();
        for (const auto file : parts_.files) {
            add_file(file);
        }
        for (std::size_t i = 0; i < deliverables_.size(); ++i) {
            add_deliverable(i);
        }
        for (const auto step : parts_.closure.steps) {
            relate_step(manifest_.steps[step]);
        }
        return finish(tool);
    }

private:
    void relate(const std::string& from, std::string_view how, const std::string& to)
    {
        relationships_.emplace(from, std::string(how), to);
    }

    void add_distribution_packages()
    {
        for (const auto& [purl, files] : parts_.purls) {
            const auto id = fmt::format("SPDXRef-Distribution-{}", package_ids_.size());
            package_ids_.emplace(purl, id);
            const auto split = split_purl(purl);
            Json package = {{"SPDXID", id},
                            {"downloadLocation", unknown},
                            {"externalRefs",
                             Json::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                                           {"referenceLocator", purl},
                                           {"referenceType", "purl"}}})},
                            {"filesAnalyzed", false},
                            {"name", name_text(split ? split->name : purl)}};
            if (split && !split->version.empty()) {
                package["versionInfo"] = name_text(split->version);
            }
            packages_.push_back(std::move(package));
        }
    }

    /// The element of a file: its own, or its distribution package's.
    [[nodiscard]] const std::string* element_of(FileIndex file) const
    {
        const auto own = file_ids_.find(file);
        if (own != file_ids_.end()) {
            return &own->second;
        }
        const auto& purl = manifest_.files[file].package;
        const auto package = purl ? package_ids_.find(*purl) : package_ids_.end();
        return package == package_ids_.end() ? nullptr : &package->second;
    }

    /// One content under one name: a File when its SHA-1 is known, else a Package.
    void add_content(const std::string& id,
                     const std::string& path,
                     const Digest& digest,
                     std::string_view purpose,
                     const std::string& location)
    {
        const auto found = names_.find(digest);
        if (found == names_.end()) {
            packages_.push_back({{"SPDXID", id},
                                 {"checksums", Json::array({checksum("SHA256", digest.hex())})},
                                 {"downloadLocation", location},
                                 {"filesAnalyzed", false},
                                 {"name", path},
                                 {"packageFileName", path},
                                 {"primaryPackagePurpose", purpose}});
            return;
        }
        files_.push_back({{"SPDXID", id},
                          {"checksums",
                           Json::array({checksum("SHA1", found->second.sha1),
                                        checksum("SHA256", digest.hex())})},
                          {"fileName", path},
                          {"fileTypes", Json::array({purpose == "SOURCE" ? "SOURCE" : "OTHER"})}});
    }

    void add_file(FileIndex index)
    {
        const auto& file = manifest_.files[index];
        const bool source = !file.repo.empty() && file.state != FileState::generated;
        const auto id = fmt::format("SPDXRef-File-{}", index);
        const bool relative = !file.path.starts_with('/');
        const auto path = (relative ? "./" : "") + name_text(file.path);
        const bool located = source && file.state == FileState::clean;
        const auto location = located ? file_uri(manifest_, file) : std::nullopt;
        add_content(id,
                    path,
                    file.sha256,
                    source ? "SOURCE" : "FILE",
                    location.value_or(std::string(unknown)));
        file_ids_.emplace(index, id);
    }

    void add_deliverable(std::size_t number)
    {
        const auto& deliverable = deliverables_[number];
        const auto id = fmt::format("SPDXRef-Deliverable-{}", number);
        Json package = {{"SPDXID", id},
                        {"checksums", Json::array({checksum("SHA256", deliverable.sha256.hex())})},
                        {"downloadLocation", unknown},
                        {"filesAnalyzed", false},
                        {"name", name_text(deliverable.name)},
                        {"packageFileName", name_text(deliverable.name)},
                        {"primaryPackagePurpose", purpose_of(deliverable.kind)}};
        if (deliverable.version) {
            package["versionInfo"] = name_text(*deliverable.version);
        }
        if (deliverable.purl) {
            package["externalRefs"] = Json::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                                                    {"referenceLocator", *deliverable.purl},
                                                    {"referenceType", "purl"}}});
        }
        if (deliverable.build_id) {
            package["comment"] = "GNU build-id " + name_text(*deliverable.build_id);
        }
        packages_.push_back(std::move(package));
        described_.push_back(id);
        relate("SPDXRef-DOCUMENT", "DESCRIBES", id);
        for (const auto root : deliverable.roots) {
            if (manifest_.files[root].sha256 == deliverable.sha256) {
                relate(id, "COPY_OF", file_ids_.at(root));
            }
        }
        add_contents(number, id);
    }

    void add_contents(std::size_t number, const std::string& package)
    {
        std::size_t entry = 0;
        for (const auto& content : deliverables_[number].contents) {
            if (!content.sha256) {
                continue; // a link or a folder has no content of its own
            }
            const auto id = fmt::format("SPDXRef-Payload-{}-{}", number, entry++);
            add_content(id, name_text(content.path), *content.sha256, "FILE", std::string(unknown));
            relate(package, "CONTAINS", id);
            if (content.from) {
                const bool same = manifest_.files[*content.from].sha256 == *content.sha256;
                relate(id, same ? "COPY_OF" : "GENERATED_FROM", file_ids_.at(*content.from));
            }
        }
    }

    void relate_step(const model::Step& step)
    {
        for (const auto output : step.outputs) {
            const auto made = file_ids_.find(output);
            if (made == file_ids_.end()) {
                continue; // a by-product that nothing here depends on
            }
            for (const auto input : step.inputs) {
                relate_input(step, made->second, input);
            }
            const auto* tool = step.tool ? element_of(*step.tool) : nullptr;
            if (tool != nullptr) {
                relate(*tool, "BUILD_TOOL_OF", made->second);
            }
        }
    }

    void relate_input(const model::Step& step, const std::string& made, FileIndex input)
    {
        const auto* element = element_of(input);
        if (element == nullptr || *element == made) {
            return;
        }
        switch (role_of(manifest_, graph_, step, input)) {
        case Role::source:
            relate(made, "GENERATED_FROM", *element);
            break;
        case Role::dynamic_link:
            relate(made, "DYNAMIC_LINK", *element);
            break;
        case Role::static_link:
            relate(made, "STATIC_LINK", *element);
            break;
        case Role::dependency:
            relate(*element, "BUILD_DEPENDENCY_OF", made);
            break;
        }
    }

    Json finish(const Tool& tool)
    {
        Json relationships = Json::array();
        for (const auto& [from, how, to] : relationships_) {
            relationships.push_back(
                {{"relatedSpdxElement", to}, {"relationshipType", how}, {"spdxElementId", from}});
        }
        const auto uuid = export_uuid(manifest_, deliverables_, "spdx");
        Json document = {
            {"SPDXID", "SPDXRef-DOCUMENT"},
            {"creationInfo",
             {{"created", second_time(manifest_.run.finished)},
              {"creators", Json::array({fmt::format("Tool: {}-{}", tool.name, tool.version)})}}},
            {"dataLicense", "CC0-1.0"},
            {"documentNamespace", "urn:uuid:" + uuid},
            {"name", name_text(manifest_.build.name.empty() ? "build" : manifest_.build.name)},
            {"packages", std::move(packages_)},
            {"relationships", std::move(relationships)},
            {"spdxVersion", "SPDX-2.3"}};
        if (!files_.empty()) {
            document["files"] = std::move(files_);
        }
        if (!manifest_.complete()) {
            document["comment"] = holes_text();
        }
        return document;
    }

    [[nodiscard]] std::string holes_text() const
    {
        std::string text = "The build was not observed completely:";
        for (const auto& hole : manifest_.holes) {
            text += fmt::format("\n{}: {}", name_text(hole.program), name_text(hole.reason));
        }
        return text;
    }

    const Manifest& manifest_;
    std::span<const Deliverable> deliverables_;
    const ContentTable& names_;
    const Graph graph_;
    const Parts parts_;
    std::map<std::string, std::string> package_ids_; ///< purl → SPDXID
    std::map<FileIndex, std::string> file_ids_;
    Json packages_ = Json::array();
    Json files_ = Json::array();
    std::vector<std::string> described_;
    std::set<std::tuple<std::string, std::string, std::string>> relationships_;
};

} // namespace

Json spdx_document(const Manifest& manifest,
                   std::span<const Deliverable> deliverables,
                   const ContentTable& names,
                   const Tool& tool)
{
    return Document(manifest, deliverables, names).make(tool);
}

} // namespace stemma::exporting
