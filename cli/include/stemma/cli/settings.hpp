#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace stemma::cli {

/// What `stemma.yaml` says (docs/configuration.md). Version 1:
///
///     version: 1
///     store: PATH or URL          # instead of .stemma/lineage.db
///     images:
///       allow: [FOLDER, …]        # where backing files of images may lie, besides the usual
///       places
///
/// Paths are relative to the file.
struct Settings {
    std::optional<std::string> store;
    std::vector<std::string> image_allow;
};

/// throws  config: unknown or duplicate key, wrong type, another version, with file and line
Settings load_settings(const std::filesystem::path& file);

/// The commented file that `stemma init` writes.
std::string settings_template();

} // namespace stemma::cli
