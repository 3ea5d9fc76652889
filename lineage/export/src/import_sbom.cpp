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

/// A file that is no package itself.
bool is_single_file(const Json& package)
{
    const auto purpose = string_or_empty(package, "primaryPackagePurpose");
    return purpose == "SOURCE" ||
           (purpose == "FILE" && !is_package_name(string_or_empty(package, "name")));
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

/// Files that a package contains, each once.
Json payload_of(const std::string& id,
                const std::multimap<std::string, std::string>& contents,
                const std::map<std::string, Json>& files)
{
    Json payload = Json::array();
    std::set<std::string> contained;
    const auto [begin, end] = contents.equal_range(id);
    for (auto content = begin; content != end; ++content) {
        const auto file = files.find(content->second);
        if (file != files.end() && contained.insert(file->first).second) {
            payload.push_back(file->second);
        }
    }
    return payload;
}

ForeignPackage spdx_package(const Json& element)
{
    ForeignPackage package;
    package.name = string_member(element, "name");
    package.version = string_or_empty(element, "versionInfo");
    package.purl = purl_in(element);
    package.file = string_or_empty(element, "packageFileName");
    package.read_scanned_file();
    return package;
}

void keep(Imported& imported, const std::vector<ForeignPackage>& packages, Time at)
{
    for (const auto& package : packages) {
        imported.drafts.push_back(package.draft(at, imported.format));
    }
}

// ---- CycloneDX ----------------------------------------------------------------------------------

/// The digest of a component; of a file that was scanned it may stand as its version.
std::optional<Digest> digest_of_component(const Json& component)
{
    const auto digest = sha256_in(optional_array(component, "hashes"), "alg", "SHA-256", "content");
    const auto version = string_or_empty(component, "version");
    return digest || !version.starts_with("sha256:") ? digest : Digest::from_hex(version);
}

/// The subject of a document; when it is a package file, the files that the document lists beside
/// it are what is in it.
Json with_listed_files(Json subject, const Json& bom)
{
    if (!is_package_name(string_or_empty(subject, "name"))) {
        return subject;
    }
    auto inside = optional_array(subject, "components");
    for (const auto& component : optional_array(bom, "components")) {
        if (string_or_empty(component, "type") == "file" &&
            !is_package_name(string_or_empty(component, "name"))) {
            inside.push_back(component);
        }
    }
    subject["components"] = std::move(inside);
    return subject;
}

class Components {
public:
    explicit Components(Imported& imported) : imported_(imported) {}

    /// The parser bounds the depth.
    void walk(const Json& component)
    {
        const bool is_file = string_or_empty(component, "type") == "file";
        if (is_file && !is_package_name(string_or_empty(component, "name"))) {
            return; // part of what it is nested in
        }
        add(component, digest_of_component(component));
        for (const auto& nested : optional_array(component, "components")) {
            walk(nested);
        }
    }

    void finish(Time at)
    {
        note_skipped(imported_, lend_purls(packages_, without_digest_), "components");
        keep(imported_, packages_, at);
    }

private:
    void add(const Json& component, const std::optional<Digest>& digest)
    {
        if (digest && !seen_.insert(*digest).second) {
            return;
        }
        ForeignPackage package;
        package.name = string_member(component, "name");
        package.version = string_or_empty(component, "version");
        package.purl = string_or_empty(component, "purl");
        package.read_scanned_file();
        for (const auto& nested : optional_array(component, "components")) {
            const auto content = digest_of_component(nested);
            if (string_or_empty(nested, "type") == "file" && content) {
                package.payload.push_back(payload_entry(string_member(nested, "name"), *content));
            }
        }
        package.sha256 = digest.value_or(Digest());
        package.complete();
        (digest ? packages_ : without_digest_).push_back(std::move(package));
    }

    Imported& imported_;
    std::set<Digest> seen_;
    std::vector<ForeignPackage> packages_;
    std::vector<ForeignPackage> without_digest_;
};

} // namespace

Imported import_spdx(const Json& document, Time at)
{
    Imported imported{"spdx", {}, {}};
    at = time_or(member(document, "creationInfo"), "created", at);
    const auto files = spdx_files(document);
    const auto contents = spdx_contents(document);
    std::vector<ForeignPackage> packages;
    std::vector<ForeignPackage> without_digest;
    for (const auto& element : optional_array(document, "packages")) {
        if (is_single_file(element)) {
            continue;
        }
        auto package = spdx_package(element);
        const auto digest =
            sha256_in(optional_array(element, "checksums"), "algorithm", "SHA256", "checksumValue");
        if (digest) {
            package.sha256 = *digest;
            package.payload = payload_of(string_member(element, "SPDXID"), contents, files);
        }
        package.complete();
        (digest ? packages : without_digest).push_back(std::move(package));
    }
    note_skipped(imported, lend_purls(packages, without_digest), "packages");
    keep(imported, packages, at);
    return imported;
}

Imported import_cyclonedx(const Json& bom, Time at)
{
    Imported imported{"cyclonedx", {}, {}};
    const auto& metadata = optional_object(bom, "metadata");
    Components components(imported);
    const auto& subject = optional_object(metadata, "component");
    if (!subject.empty()) {
        components.walk(with_listed_files(subject, bom));
    }
    for (const auto& component : optional_array(bom, "components")) {
        components.walk(component);
    }
    components.finish(time_or(metadata, "timestamp", at));
    return imported;
}

} // namespace stemma::exporting
