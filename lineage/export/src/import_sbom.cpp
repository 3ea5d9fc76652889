#include "stemma/core/error.hpp"
#include "stemma/export/import.hpp"

#include <map>
#include <set>

#include "import_parts.hpp"

namespace stemma::exporting {

namespace {

void note_skipped(Imported& imported, std::size_t count, std::string_view what)
{
    if (count > 0) {
        imported.notes.push_back(
            fmt::format("{} {} without a SHA-256 cannot be told apart from others of the same "
                        "name and were left out",
                        count,
                        what));
    }
}

// ---- SPDX ---------------------------------------------------------------------------------------

std::string purl_in(const Json& package)
{
    for (const auto& reference : optional_array(package, "externalRefs")) {
        if (string_or_empty(reference, "referenceType") == "purl") {
            return string_or_empty(reference, "referenceLocator");
        }
    }
    return {};
}

bool is_single_file(const Json& package)
{
    const auto purpose = string_or_empty(package, "primaryPackagePurpose");
    return purpose == "FILE" || purpose == "SOURCE";
}

/// SPDXID → payload entry, for all that is one file: Files, and Packages of that purpose.
std::map<std::string, Json> spdx_files(const Json& document)
{
    std::map<std::string, Json> files;
    const auto add = [&](const Json& element, std::string_view name_key) {
        const auto digest =
            sha256_in(optional_array(element, "checksums"), "algorithm", "SHA256", "checksumValue");
        if (digest) {
            auto path = string_member(element, name_key);
            path.erase(0, path.starts_with("./") ? 2 : 0);
            files.emplace(string_member(element, "SPDXID"), payload_entry(path, *digest));
        }
    };
    for (const auto& file : optional_array(document, "files")) {
        add(file, "fileName");
    }
    for (const auto& package : optional_array(document, "packages")) {
        if (is_single_file(package)) {
            add(package, "name");
        }
    }
    return files;
}

/// SPDXID of a package → SPDXIDs of what it contains.
std::multimap<std::string, std::string> spdx_contents(const Json& document)
{
    std::multimap<std::string, std::string> contents;
    for (const auto& relationship : optional_array(document, "relationships")) {
        const auto how = string_member(relationship, "relationshipType");
        const auto from = string_member(relationship, "spdxElementId");
        const auto to = string_member(relationship, "relatedSpdxElement");
        if (how == "CONTAINS") {
            contents.emplace(from, to);
        } else if (how == "CONTAINED_BY") {
            contents.emplace(to, from);
        }
    }
    for (const auto& package : optional_array(document, "packages")) {
        for (const auto& file : optional_array(package, "hasFiles")) {
            if (file.is_string()) {
                contents.emplace(string_member(package, "SPDXID"), file.get<std::string>());
            }
        }
    }
    return contents;
}

// ---- CycloneDX ----------------------------------------------------------------------------------

std::optional<Digest> digest_of_component(const Json& component)
{
    return sha256_in(optional_array(component, "hashes"), "alg", "SHA-256", "content");
}

class Components {
public:
    Components(Imported& imported, Time at) : imported_(imported), at_(at) {}

    /// The parser bounds the depth.
    void walk(const Json& component)
    {
        if (string_or_empty(component, "type") == "file") {
            return; // part of what it is nested in
        }
        const auto digest = digest_of_component(component);
        if (digest) {
            add(component, *digest);
        } else {
            ++skipped_;
        }
        for (const auto& nested : optional_array(component, "components")) {
            walk(nested);
        }
    }

    [[nodiscard]] std::size_t skipped() const noexcept { return skipped_; }

private:
    void add(const Json& component, const Digest& digest)
    {
        if (!seen_.insert(digest).second) {
            return;
        }
        ForeignPackage package;
        package.name = string_member(component, "name");
        package.version = string_or_empty(component, "version");
        package.purl = string_or_empty(component, "purl");
        package.sha256 = digest;
        package.file = is_package_name(package.name) ? package.name : std::string();
        for (const auto& nested : optional_array(component, "components")) {
            const auto content = digest_of_component(nested);
            if (string_or_empty(nested, "type") == "file" && content) {
                package.payload.push_back(payload_entry(string_member(nested, "name"), *content));
            }
        }
        package.complete();
        imported_.drafts.push_back(package.draft(at_, "cyclonedx"));
    }

    Imported& imported_;
    Time at_;
    std::set<Digest> seen_;
    std::size_t skipped_ = 0;
};

} // namespace

Imported import_spdx(const Json& document, Time at)
{
    Imported imported{"spdx", {}, {}};
    at = time_or(member(document, "creationInfo"), "created", at);
    const auto files = spdx_files(document);
    const auto contents = spdx_contents(document);
    std::size_t skipped = 0;
    for (const auto& element : optional_array(document, "packages")) {
        if (is_single_file(element)) {
            continue;
        }
        const auto digest =
            sha256_in(optional_array(element, "checksums"), "algorithm", "SHA256", "checksumValue");
        if (!digest) {
            ++skipped;
            continue;
        }
        ForeignPackage package;
        package.name = string_member(element, "name");
        package.version = string_or_empty(element, "versionInfo");
        package.purl = purl_in(element);
        package.file = string_or_empty(element, "packageFileName");
        package.sha256 = *digest;
        std::set<std::string> contained;
        const auto [begin, end] = contents.equal_range(string_member(element, "SPDXID"));
        for (auto at_content = begin; at_content != end; ++at_content) {
            const auto file = files.find(at_content->second);
            if (file != files.end() && contained.insert(file->first).second) {
                package.payload.push_back(file->second);
            }
        }
        package.complete();
        imported.drafts.push_back(package.draft(at, "spdx"));
    }
    note_skipped(imported, skipped, "packages");
    return imported;
}

Imported import_cyclonedx(const Json& bom, Time at)
{
    Imported imported{"cyclonedx", {}, {}};
    const auto& metadata = optional_object(bom, "metadata");
    Components components(imported, time_or(metadata, "timestamp", at));
    const auto& subject = optional_object(metadata, "component");
    if (!subject.empty()) {
        components.walk(subject);
    }
    for (const auto& component : optional_array(bom, "components")) {
        components.walk(component);
    }
    note_skipped(imported, components.skipped(), "components");
    return imported;
}

} // namespace stemma::exporting
