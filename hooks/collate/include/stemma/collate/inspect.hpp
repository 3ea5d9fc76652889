#pragma once

#include "stemma/model/manifest.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stemma::hooks {

/// The artifacts that a person asks for: with a `name`, those of that file name, path or target;
/// without one, programs, libraries and packages that no other step took as input; when there is
/// none of these, all artifacts.
std::vector<const model::Artifact*> deliverables(const model::Manifest& manifest,
                                                 std::string_view name = {});

/// A readable tree: each artifact, the step that made it, what went in, down to the sources. Files
/// of the system are summed up by package unless `with_system`. A file that was shown in full
/// before is named only.
std::string manifest_tree(const model::Manifest& manifest,
                          const std::vector<const model::Artifact*>& roots,
                          bool with_system);

struct ManifestChange {
    std::string path;
    std::string change;           ///< added, removed, changed
    std::vector<std::string> why; ///< what differs in the step and in its inputs; for "changed"
};

/// How the artifacts of `after` differ from those of `before`, sorted by path. A changed input that
/// is itself made by a step is followed to the sources that made it change.
std::vector<ManifestChange> compare_manifests(const model::Manifest& before,
                                              const model::Manifest& after);

/// Paths of sources and system files that both builds read, with other content; sorted.
std::vector<std::string> changed_sources(const model::Manifest& before,
                                         const model::Manifest& after);

struct CheckedFile {
    std::string path;  ///< on this machine
    std::string role;  ///< artifact, source, generated, system
    std::string state; ///< same, changed, gone
    std::string expected;
    std::string actual; ///< empty when gone
};

/// Hashes the manifest's files again where they were when it was made.
/// root  the build's root folder on this machine; empty: the one in the manifest
std::vector<CheckedFile> verify_manifest(const model::Manifest& manifest, const std::string& root);

} // namespace stemma::hooks
