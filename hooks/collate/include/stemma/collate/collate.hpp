#pragma once

#include "stemma/core/log.hpp"
#include "stemma/model/manifest.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace stemma::hooks {

struct CollateOptions {
    std::string name; ///< the project's; empty: the name of its root folder
    /// The newest earlier manifest of which a step made exactly this content; for objects that were
    /// not rebuilt. Empty: nothing is known of the past.
    std::function<std::optional<model::Manifest>(const Digest&)> history{};
    /// A file that keeps digests and packages of system files between builds; empty: none.
    std::string cache{};
};

/// Turns a journal into the manifest of the build that it records: groups processes into steps,
/// keeps the newest step of each output, finds each file's place in git and its distribution
/// package, and lists as holes whatever was not seen. Reads the world (git, dpkg's lists, system
/// files whose stamp is unchanged) and writes nothing but its cache.
///
/// throws  not_found, io: the journal cannot be read; corrupt: no record in it is readable
model::Manifest collate_journal(const std::string& path, const CollateOptions& options = {});

/// The artifacts that no known step made: what `--strict` refuses.
std::vector<const model::Artifact*> unrecorded(const model::Manifest& manifest);

} // namespace stemma::hooks
