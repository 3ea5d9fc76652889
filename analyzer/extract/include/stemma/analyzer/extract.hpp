#pragma once

#include "stemma/analyzer/definition.hpp"
#include "stemma/analyzer/feature.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/volume/filesystem.hpp"

#include <functional>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// Reads one configuration file; never throws for what is in it.
/// parser  as in SettingsRule
using SettingsParser = std::function<std::vector<Feature>(
    std::string_view path, std::string_view content, std::string_view parser)>;

/// The parsers of this library.
SettingsParser standard_settings_parser();

struct ExtractOptions {
    const Clock& clock; ///< for the budget of time
    const Cancel& cancel;
    SettingsParser settings = standard_settings_parser();
};

/// Everything that `definition` asks for and the tree holds, but for the features of kind "vm",
/// which no tree knows. Nothing in the tree makes it fail: what cannot be read costs that one thing
/// and the extractor's `complete`.
///
/// returns  arranged
/// throws   interrupted
/// cost     one walk over the folders that the patterns can reach, one read of each file that a
///          rule wants the content of; memory follows the result and the largest parsed file
FeatureSet
extract(volume::Filesystem& tree, const Definition& definition, const ExtractOptions& options);

} // namespace stemma::analyzer
