#pragma once

#include "stemma/export/deliverable.hpp"
#include "stemma/export/gitoid.hpp"

#include <span>
#include <string>
#include <vector>

/// OmniBOR 0.2 input manifests: ASCII, "gitoid:blob:sha256\n", then one line per input, sorted:
/// 64 digits, and " manifest " with 64 more where the input has a manifest of its own.
namespace stemma::exporting {

struct InputManifest {
    Digest artifact;  ///< gitoid of what was made
    Digest id;        ///< gitoid of `text`
    std::string text; ///< the file's bytes
    std::string name; ///< of what was made, for people
};

/// Something whose content could not be read again: the gitoid is no function of the SHA-256 that
/// the manifest holds.
struct Unnamed {
    model::FileIndex file = 0;
    std::string wanted_by; ///< the output whose manifest therefore does not exist
};

struct OmniborExport {
    std::vector<InputManifest> manifests; ///< each after those that it names
    std::vector<Unnamed> missing;         ///< sorted; empty when the export is complete
};

/// Input manifests of the deliverables and of everything made on the way to them. A manifest that
/// would lack an input is not made, and is then missing from what it goes into: an incomplete input
/// manifest would be a false identity.
OmniborExport omnibor_manifests(const model::Manifest& manifest,
                                std::span<const Deliverable> deliverables,
                                const ContentTable& names);

/// "manifests/gitoid_blob_sha256/ab/cdef…", below OMNIBOR_DIR.
std::string omnibor_path(const Digest& id);
/// The Target Index, OMNIBOR_DIR/targets: "<artifact> <manifest>\n", sorted.
std::string omnibor_targets(std::span<const InputManifest> manifests);

/// The contents that omnibor_manifests() needs names for; sorted.
std::vector<model::FileIndex> omnibor_files(const model::Manifest& manifest,
                                            std::span<const Deliverable> deliverables);

} // namespace stemma::exporting
