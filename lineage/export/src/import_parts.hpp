#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/json.hpp"
#include "stemma/model/event.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the importers share: lenient where formats are optional, strict on types.
namespace stemma::exporting {

/// A member that must be an array where it is there; empty when missing or null.
const Json& optional_array(const Json& object, std::string_view key);
/// A member that must be an object where it is there; empty when missing or null.
const Json& optional_object(const Json& object, std::string_view key);
std::string string_or_empty(const Json& object, std::string_view key);

/// The SHA-256 in a list of {algorithm, value} pairs; nullopt where there is none.
/// throws  corrupt: what claims to be one is none
std::optional<Digest> sha256_in(const Json& list,
                                std::string_view algorithm_key,
                                std::string_view algorithm,
                                std::string_view value_key);

/// A time member, or `otherwise` where it is missing.
Time time_or(const Json& object, std::string_view key, Time otherwise);

/// The body of package.packed, as far as a foreign document can fill it.
struct ForeignPackage {
    std::string name;
    std::string version;
    std::string arch;
    std::string purl;
    std::string file;
    Digest sha256;
    Json payload = Json::array();

    /// What was scanned as a file, "some/place/NAME_VERSION_ARCH.deb" of version "sha256:…", is the
    /// package of that name.
    void read_scanned_file();
    /// Fills empty members from the purl and the file name (name_version_arch.deb).
    void complete();
    [[nodiscard]] model::EventDraft draft(Time at, std::string_view source) const;
};

/// A scanner of a package file names the file with its digest, and what is in it without one: the
/// file gets the purl of the one that has its name and version, which is then said.
/// returns  how many of `without_digest` are none of `packages`
std::size_t lend_purls(std::vector<ForeignPackage>& packages,
                       const std::vector<ForeignPackage>& without_digest);

/// One file in a payload; a document does not say where it came from.
Json payload_entry(std::string_view path, const Digest& sha256);

/// True for file names of packages: .deb, .rpm, .apk, .whl, .jar, .tar and its compressed forms, …
bool is_package_name(std::string_view name);

} // namespace stemma::exporting
