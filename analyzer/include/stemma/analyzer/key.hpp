#pragma once

#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// "∋": separates a list's key from one of its elements.
inline constexpr std::string_view element_mark = "\xE2\x88\x8B";

/// Follows a setting's own name in the feature beside it that says that its value names a file,
/// user or group that is not there: "root (names nothing)".
inline constexpr std::string_view names_nothing = " (names nothing)";

/// Name of the only setting of a record that has none: "Journal/(empty)".
inline constexpr std::string_view empty_record = "(empty)";

/// Parts of a setting's key, "server[a/b]/location[/]/root∋x": "/" separates them outside of
/// brackets and in front of a list's element; the last part keeps its element.
/// returns  borrowed from `key`; never empty
std::vector<std::string_view> key_segments(std::string_view key);

} // namespace stemma::analyzer
