#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/core/json.hpp"
#include "stemma/model/manifest.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::exporting {

/// What the world gets of a build: an artifact, or a package with what is in it. Every format
/// describes deliverables.
struct Deliverable {
    /// One file inside a package, as the event package.packed lists it.
    struct Content {
        std::string path;                     ///< inside the package; bytes
        std::optional<Digest> sha256;         ///< none for links and folders
        std::string link;                     ///< content, build-id, source, unexplained
        std::optional<model::FileIndex> from; ///< the manifest's file that it came from
    };
    std::string name; ///< file name without folders; bytes
    Digest sha256;
    model::ArtifactKind kind = model::ArtifactKind::other;
    std::optional<std::string> build_id;
    std::optional<std::string> purl;
    std::optional<std::string> version;
    std::string target;                  ///< the build system's name; may be empty
    std::vector<model::FileIndex> roots; ///< the manifest's files that it is or contains; sorted
    std::vector<Content> contents;       ///< of a package; sorted by path
};

/// All deliverables of a build, in the manifest's order: packages, executables, shared libraries,
/// and archives that no step read; each content once (the shortest path). Only what a recorded step
/// made, and not what a step of packing staged on its way into a package.
std::vector<Deliverable> deliverables(const model::Manifest& manifest);

/// The deliverables that `word` means, by name, target, build-id, or at least 8 digits of the
/// SHA-256; when it means none, artifacts of any kind in the same way.
std::vector<Deliverable> deliverables_named(const model::Manifest& manifest, std::string_view word);

/// The package that a package.packed event's body describes, its contents tied to the files of the
/// build that made them.
/// throws  corrupt: the body lacks name or sha256, or has members of other types
Deliverable package_deliverable(const model::Manifest& manifest, const Json& body);

/// Who writes: named in every format.
struct Tool {
    std::string name = "stemma";
    std::string version;
};

} // namespace stemma::exporting
