#pragma once

#include "stemma/analyzer/feature.hpp"
#include "stemma/analyzer/key.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// One setting of a configuration file.
///
/// key    path of the setting within its file, unique there. Segments are separated by "/":
///        "http/client_max_body_size". A segment with brackets names a record and its identity:
///        "server[shop.example:443]/root", "[/boot]/options". "∋" before the last part says that
///        the key is a list or a set of lines and the part one element: "mynetworks∋10.0.0.0/8";
///        an element's value is always "present". A line that the grammar cannot read is the
///        element of a list of its own, "(not understood)∋LINE". A section or block with nothing
///        in it has the one setting "NAME/(empty)".
/// value  as written, without quotes and comments, blanks folded to one
/// line   from 1
struct Setting {
    std::string key;
    std::string value;
    std::uint32_t line = 0;

    bool operator==(const Setting&) const = default;
};

/// Value of every element of a list.
inline constexpr std::string_view element_value = "present";
/// List of the lines that a grammar could not read.
inline constexpr std::string_view error_list = "(not understood)";

/// What one file said.
struct SettingsFile {
    std::string dialect; ///< "sshd", "nginx", "ini", …; "lines" where nothing better is known
    std::vector<Setting> settings; ///< in the order of the file
    std::uint32_t errors = 0;      ///< lines that were not understood
    bool cut = false;              ///< the limits were reached; the rest was left out
};

/// Limits of one file: content beyond them is left out and `cut` is set.
inline constexpr std::size_t max_settings_per_file = 20'000;
inline constexpr std::size_t max_setting_value = 2'048;
inline constexpr std::size_t max_setting_key = 512;

/// Reads a configuration file, whatever is wrong with it: a broken line costs that line.
///
/// path     absolute within its tree; with the content it decides the dialect
/// content  untrusted bytes
/// named    a dialect, one of dialect_names(); "auto" or any other word: by path and content
/// cost     linear in the content
SettingsFile
parse_settings(std::string_view path, std::string_view content, std::string_view named = "auto");

/// The dialect that parse_settings() would choose.
std::string_view dialect_of(std::string_view path, std::string_view content);

/// The same as features of kind "setting": identity is the file and, after ":", the record within
/// it; attribute the setting's own name; elements of a list have the type `present`.
///
///     /etc/fstab                 [/boot]/options     identity "/etc/fstab:[/boot]"  "options"
///     /etc/ssh/sshd_config       permitrootlogin     identity "/etc/ssh/sshd_config"
std::vector<Feature> settings_features(std::string_view path,
                                       std::string_view content,
                                       std::string_view dialect = "auto");
std::vector<Feature> settings_features(std::string_view path, const SettingsFile& file);

/// The key within its file of a feature that settings_features() made.
std::string setting_key(const Feature& feature);

/// All dialects by name, sorted.
std::vector<std::string_view> dialect_names();

} // namespace stemma::analyzer
