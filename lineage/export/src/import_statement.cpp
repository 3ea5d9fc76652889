#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/export/import.hpp"
#include "stemma/model/manifest.hpp"

#include <set>

#include "import_parts.hpp"
#include "words.hpp"

namespace stemma::exporting {

namespace {

using model::FileIndex;
using model::FileState;
using model::Manifest;

/// What both versions of the predicate say, in one form.
struct Provenance {
    std::string builder;
    std::string name; ///< what the parameters call the build; may be empty
    Json dependencies = Json::array();
    Time started{};
    Time finished{};
};

bool is_slsa(const std::string& predicate_type)
{
    return predicate_type == "https://slsa.dev/provenance/v1" ||
           predicate_type == "https://slsa.dev/provenance/v0.2";
}

Provenance read_provenance(const Json& statement, Time at)
{
    Provenance provenance;
    const auto& predicate = member(statement, "predicate");
    if (string_member(statement, "predicateType") == "https://slsa.dev/provenance/v1") {
        const auto& definition = member(predicate, "buildDefinition");
        const auto& details = member(predicate, "runDetails");
        const auto& metadata = optional_object(details, "metadata");
        const auto& parameters = optional_object(definition, "externalParameters");
        provenance.builder = string_member(member(details, "builder"), "id");
        provenance.dependencies = optional_array(definition, "resolvedDependencies");
        if (parameters.contains("name") && parameters["name"].is_string()) {
            provenance.name = parameters["name"].get<std::string>();
        }
        provenance.finished = time_or(metadata, "finishedOn", at);
        provenance.started = time_or(metadata, "startedOn", provenance.finished);
    } else {
        const auto& metadata = optional_object(predicate, "metadata");
        provenance.builder = string_member(member(predicate, "builder"), "id");
        provenance.dependencies = optional_array(predicate, "materials");
        provenance.finished = time_or(metadata, "buildFinishedOn", at);
        provenance.started = time_or(metadata, "buildStartedOn", provenance.finished);
    }
    return provenance;
}

std::optional<Digest> digest_in(const Json& descriptor)
{
    const auto text = optional_string_member(optional_object(descriptor, "digest"), "sha256");
    if (!text) {
        return std::nullopt;
    }
    const auto digest = Digest::from_hex(to_lower(*text));
    if (!digest) {
        throw Error(ErrorCode::corrupt, fmt::format("no SHA-256: '{}'", printable(*text)));
    }
    return digest;
}

/// "git+https://host/path@commit#file", taken apart.
struct GitPlace {
    std::string repo;
    std::string commit;
    std::string path;
};

GitPlace split_git_uri(std::string_view uri)
{
    GitPlace place;
    uri.remove_prefix(uri.starts_with("git+") ? 4 : 0);
    const auto hash = uri.find('#');
    if (hash != std::string_view::npos) {
        place.path = percent_decoded(uri.substr(hash + 1));
        uri = uri.substr(0, hash);
    }
    const auto at = uri.rfind('@');
    if (at != std::string_view::npos && uri.find('/', at) == std::string_view::npos) {
        place.commit = std::string(uri.substr(at + 1));
        uri = uri.substr(0, at);
    } else if (const auto ref = uri.find("@refs/"); ref != std::string_view::npos) {
        uri = uri.substr(0, ref);
    }
    place.repo = std::string(uri);
    return place;
}

/// The dependency that is the checkout: its digest is a commit.
void read_checkout(Manifest& manifest, const Json& dependency)
{
    const auto& digest = optional_object(dependency, "digest");
    const auto uri = string_or_empty(dependency, "uri");
    auto commit = optional_string_member(digest, "gitCommit");
    if (!commit && uri.starts_with("git+")) {
        commit = optional_string_member(digest, "sha1"); // how version 0.2 said it
    }
    if (!commit || manifest.build.commit) {
        return;
    }
    manifest.build.commit = commit;
    manifest.build.repo =
        uri.empty() ? string_or_empty(dependency, "name") : split_git_uri(uri).repo;
}

model::File file_from(const Json& dependency, const Digest& digest)
{
    model::File file;
    const auto uri = string_or_empty(dependency, "uri");
    const auto& annotations = optional_object(dependency, "annotations");
    const auto state = annotations.find("state");
    const auto repository = annotations.find("repository");
    file.sha256 = digest;
    file.path = string_or_empty(dependency, "name");
    file.blob = optional_string_member(optional_object(dependency, "digest"), "gitBlob");
    if (state != annotations.end() && state->is_string()) {
        file.state = model::file_state_from(state->get<std::string>()).value_or(FileState::system);
    }
    if (repository != annotations.end() && repository->is_string()) {
        file.repo = repository->get<std::string>();
    }
    if (uri.starts_with("git+") && uri.find('#') != std::string::npos) {
        const auto place = split_git_uri(uri);
        file.path = place.path;
        file.repo = file.repo.empty() ? place.repo : file.repo;
        file.state = FileState::clean;
    } else if (uri.starts_with("pkg:")) {
        file.package = uri.substr(0, uri.find('#'));
    }
    if (file.path.empty()) {
        file.path = uri.empty() ? digest.hex() : uri;
    }
    return file;
}

model::ArtifactKind kind_of(std::string_view name)
{
    if (is_package_name(name)) {
        return model::ArtifactKind::package;
    }
    if (name.ends_with(".so") || name.find(".so.") != std::string_view::npos) {
        return model::ArtifactKind::shared_library;
    }
    return name.ends_with(".a") ? model::ArtifactKind::archive : model::ArtifactKind::other;
}

void add_subject(Manifest& manifest, const std::string& name, const Digest& digest)
{
    const auto index = static_cast<FileIndex>(manifest.files.size());
    model::File file;
    file.path = name;
    file.repo = manifest.build.repo;
    file.sha256 = digest;
    file.state = FileState::generated;
    manifest.files.push_back(std::move(file));
    manifest.steps.front().outputs.push_back(index);
    model::Artifact artifact;
    artifact.file = index;
    artifact.name = std::string(base_name(name));
    artifact.kind = kind_of(name);
    artifact.step = 0;
    manifest.artifacts.push_back(std::move(artifact));
}

Manifest manifest_of(const Json& statement, const Provenance& provenance)
{
    Manifest manifest;
    manifest.steps.emplace_back(); // one step of kind `other`: the document knows no more
    for (const auto& dependency : provenance.dependencies) {
        read_checkout(manifest, dependency);
    }
    for (const auto& dependency : provenance.dependencies) {
        if (const auto digest = digest_in(dependency)) {
            manifest.steps.front().inputs.push_back(static_cast<FileIndex>(manifest.files.size()));
            manifest.files.push_back(file_from(dependency, *digest));
        }
    }
    for (const auto& subject : array_member(statement, "subject")) {
        if (const auto digest = digest_in(subject)) {
            add_subject(manifest, string_or_empty(subject, "name"), *digest);
        }
    }
    manifest.build.name =
        provenance.name.empty() ? std::string(base_name(manifest.build.repo)) : provenance.name;
    manifest.holes.push_back({0, provenance.builder, "declared by an attestation, not observed"});
    manifest.run.id =
        make_uuid5(stemma_uuid_space, "statement:" + sha256(canonical_json(statement)).hex());
    manifest.run.machine = provenance.builder;
    manifest.run.started = provenance.started;
    manifest.run.finished = provenance.finished;
    normalise(manifest);
    return manifest;
}

void import_packages(Imported& imported, const Json& statement, const std::string& build, Time at)
{
    for (const auto& subject : array_member(statement, "subject")) {
        const auto digest = digest_in(subject);
        const auto name = string_or_empty(subject, "name");
        const auto uri = string_or_empty(subject, "uri");
        const bool is_purl = uri.starts_with("pkg:") || name.starts_with("pkg:");
        if (!digest || !(is_purl || is_package_name(name))) {
            continue;
        }
        ForeignPackage package;
        package.purl = uri.starts_with("pkg:") ? uri : name.starts_with("pkg:") ? name : "";
        package.file = name.starts_with("pkg:") ? std::string() : std::string(base_name(name));
        package.sha256 = *digest;
        package.complete();
        auto draft = package.draft(at, "slsa");
        if (!build.empty()) {
            draft.body["build"] = build;
        }
        imported.drafts.push_back(std::move(draft));
    }
}

/// An SBOM that somebody attests: what it says, and its subjects.
std::optional<Imported>
import_attested_sbom(const Json& statement, std::string_view predicate_type, Time at)
{
    const bool spdx = predicate_type.starts_with("https://spdx.dev/Document");
    if (!spdx && !predicate_type.starts_with("https://cyclonedx.org/bom")) {
        return std::nullopt;
    }
    const auto& predicate = member(statement, "predicate");
    auto imported = spdx ? import_spdx(predicate, at) : import_cyclonedx(predicate, at);
    std::set<std::string> known;
    for (const auto& draft : imported.drafts) {
        known.insert(string_member(draft.body, "sha256"));
    }
    Imported subjects;
    import_packages(subjects, statement, {}, at);
    for (auto& draft : subjects.drafts) {
        if (known.insert(string_member(draft.body, "sha256")).second) {
            imported.drafts.push_back(std::move(draft));
        }
    }
    return imported;
}

} // namespace

Imported import_statement(const Json& statement, Time at)
{
    Imported imported{"slsa", {}, {}};
    const auto predicate_type = string_member(statement, "predicateType");
    if (auto sbom = import_attested_sbom(statement, predicate_type, at)) {
        return *std::move(sbom);
    }
    if (!is_slsa(predicate_type)) {
        import_packages(imported, statement, {}, at);
        imported.notes.push_back(
            fmt::format("a predicate of type '{}' says nothing that is kept but its subjects",
                        printable(predicate_type)));
        return imported;
    }
    const auto provenance = read_provenance(statement, at);
    const auto manifest = manifest_of(statement, provenance);
    if (manifest.artifacts.empty()) {
        imported.notes.emplace_back("no subject has a SHA-256: nothing to keep");
        return imported;
    }
    imported.drafts.push_back(
        {provenance.finished, "build.recorded", {{"manifest", to_json(manifest)}}});
    import_packages(imported, statement, manifest.run.id, provenance.finished);
    return imported;
}

} // namespace stemma::exporting
