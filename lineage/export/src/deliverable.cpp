#include "stemma/export/deliverable.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <map>

#include "graph.hpp"

namespace stemma::exporting {

namespace {

using model::Artifact;
using model::ArtifactKind;
using model::FileIndex;
using model::Manifest;

constexpr std::size_t shortest_digest_prefix = 8;

Deliverable deliverable_of(const Manifest& manifest, const Artifact& artifact)
{
    const auto& file = manifest.files[artifact.file];
    Deliverable deliverable;
    deliverable.name = artifact.name;
    deliverable.sha256 = file.sha256;
    deliverable.kind = artifact.kind;
    deliverable.build_id = artifact.build_id;
    deliverable.purl = file.package;
    deliverable.target = artifact.target;
    deliverable.roots = {artifact.file};
    return deliverable;
}

/// The members of a .deb, which some packers leave beside it.
bool is_part_of_deb(std::string_view name)
{
    return name.starts_with("control.tar") || name.starts_with("data.tar");
}

bool leaves_the_build(const Manifest& manifest, const Graph& graph, const Artifact& artifact)
{
    const auto& makers = graph.makers(artifact.file);
    if (makers.empty()) {
        return false; // nothing is known that could be told
    }
    const bool staged = manifest.steps[makers.front()].kind == model::StepKind::pack;
    switch (artifact.kind) {
    case ArtifactKind::package:
        return !is_part_of_deb(artifact.name);
    case ArtifactKind::executable:
    case ArtifactKind::shared_library:
        return !staged;
    case ArtifactKind::archive:
        return !staged && !graph.is_read(artifact.file);
    default:
        return false;
    }
}

/// A packer copies what it made: the same bytes under the same name are one thing, under its
/// shortest path.
void keep_shortest(const Manifest& manifest, std::vector<Deliverable>& list)
{
    const auto path = [&](const Deliverable& deliverable) -> const std::string& {
        return manifest.files[deliverable.roots.front()].path;
    };
    std::map<std::pair<std::string, Digest>, const std::string*> shortest;
    for (const auto& deliverable : list) {
        auto& kept = shortest[{deliverable.name, deliverable.sha256}];
        if (kept == nullptr || path(deliverable).size() < kept->size()) {
            kept = &path(deliverable);
        }
    }
    std::erase_if(list, [&](const Deliverable& deliverable) {
        return shortest.at({deliverable.name, deliverable.sha256}) != &path(deliverable);
    });
}

bool is_meant(const Deliverable& deliverable, std::string_view word)
{
    return deliverable.name == word || (!word.empty() && deliverable.target == word) ||
           deliverable.build_id == word ||
           (word.size() >= shortest_digest_prefix && deliverable.sha256.hex().starts_with(word));
}

std::optional<Digest> optional_digest_member(const Json& object, std::string_view key)
{
    const auto text = optional_string_member(object, key);
    if (!text) {
        return std::nullopt;
    }
    const auto digest = Digest::from_hex(*text);
    if (!digest) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("member '{}' is not a SHA-256: '{}'", key, printable(*text)));
    }
    return digest;
}

using FilesByContent = std::multimap<Digest, FileIndex>;

/// The file of the build that a payload entry came from: one that a step made before one that only
/// was read, where both have the same bytes.
std::optional<FileIndex>
file_with(const FilesByContent& files, const Graph& graph, const std::optional<Digest>& digest)
{
    std::optional<FileIndex> found;
    if (digest) {
        for (auto [at, end] = files.equal_range(*digest); at != end; ++at) {
            if (!found || (graph.makers(*found).empty() && !graph.makers(at->second).empty())) {
                found = at->second;
            }
        }
    }
    return found;
}

Deliverable::Content
content_from(const Json& entry, const FilesByContent& files, const Graph& graph)
{
    Deliverable::Content content;
    content.path = text_of(member(entry, "path"), "path");
    content.sha256 = optional_digest_member(entry, "sha256");
    content.link = optional_string_member(entry, "link").value_or("unexplained");
    content.from = file_with(files, graph, optional_digest_member(entry, "artifact"));
    if (!content.from && (content.link == "content" || content.link == "source")) {
        content.from = file_with(files, graph, content.sha256);
    }
    return content;
}

} // namespace

std::vector<Deliverable> deliverables(const Manifest& manifest)
{
    const Graph graph(manifest);
    std::vector<Deliverable> found;
    for (const auto& artifact : manifest.artifacts) {
        if (leaves_the_build(manifest, graph, artifact)) {
            found.push_back(deliverable_of(manifest, artifact));
        }
    }
    keep_shortest(manifest, found);
    return found;
}

std::vector<Deliverable> deliverables_named(const Manifest& manifest, std::string_view word)
{
    auto found = deliverables(manifest);
    const auto is_another = [&](const Deliverable& deliverable) {
        return !is_meant(deliverable, word);
    };
    std::erase_if(found, is_another);
    if (found.empty()) {
        for (const auto& artifact : manifest.artifacts) {
            found.push_back(deliverable_of(manifest, artifact));
        }
        std::erase_if(found, is_another);
    }
    return found;
}

Deliverable package_deliverable(const Manifest& manifest, const Json& body)
{
    const Graph graph(manifest);
    FilesByContent files;
    for (FileIndex file = 0; file < manifest.files.size(); ++file) {
        files.emplace(manifest.files[file].sha256, file);
    }
    Deliverable package;
    const auto file = optional_string_member(body, "file").value_or("");
    package.name = file.substr(file.rfind('/') + 1);
    if (package.name.empty()) {
        package.name = string_member(body, "name");
    }
    const auto digest = optional_digest_member(body, "sha256");
    if (!digest) {
        throw Error(ErrorCode::corrupt, "a package without a digest cannot be exported");
    }
    package.sha256 = *digest;
    package.kind = ArtifactKind::package;
    package.purl = optional_string_member(body, "purl");
    package.version = optional_string_member(body, "version");
    if (const auto itself = file_with(files, graph, digest)) {
        package.roots.push_back(*itself);
    }
    for (const auto& entry : array_member(body, "payload")) {
        package.contents.push_back(content_from(entry, files, graph));
        if (package.contents.back().from) {
            package.roots.push_back(*package.contents.back().from);
        }
    }
    std::sort(package.contents.begin(), package.contents.end(), [](const auto& a, const auto& b) {
        return a.path < b.path;
    });
    std::sort(package.roots.begin(), package.roots.end());
    package.roots.erase(std::unique(package.roots.begin(), package.roots.end()),
                        package.roots.end());
    return package;
}

} // namespace stemma::exporting
