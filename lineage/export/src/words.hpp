#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/model/manifest.hpp"

#include <optional>
#include <string>
#include <string_view>

/// How the formats spell names, places and times.
namespace stemma::exporting {

/// A name as a JSON string: itself when it is UTF-8, else printable() (the formats know no bytes).
std::string name_text(std::string_view bytes);

/// Percent-encodes all but RFC 3986's unreserved characters and '/'.
std::string percent_encoded(std::string_view bytes);
/// The other way; what is no escape stays.
std::string percent_decoded(std::string_view text);

/// "git+https://host/path" of a clone URL in any of git's forms; nullopt for a mere folder name.
std::optional<std::string> repository_uri(std::string_view repo);

/// Where a file can be found, as far as the manifest knows: "git+URL@COMMIT#path" for what the
/// commit holds, "pkg:deb/…#usr/include/stdio.h" for a distribution's, "file:///…" for other files
/// outside repositories; nullopt for what only that checkout had.
std::optional<std::string> file_uri(const model::Manifest& manifest, const model::File& file);

/// "2026-01-02T03:04:05Z": what SPDX takes.
std::string second_time(Time time);

/// Name and version in a purl ("pkg:deb/debian/libc6@2.36-9?arch=amd64"), decoded; as far as there.
struct PurlParts {
    std::string type;
    std::string name;
    std::string version;
    std::string arch; ///< the qualifier "arch"
};
std::optional<PurlParts> split_purl(std::string_view purl);

/// A path's last part.
std::string_view base_name(std::string_view path) noexcept;

} // namespace stemma::exporting
