#pragma once

#include <string_view>

#include "impl.hpp"

/// Dictionary rows: found, or made.
namespace stemma::lineage {

std::string_view bytes_of(const Digest& digest);
/// throws  corrupt: not 64 hexadecimal digits
Digest digest_member(const Json& object, std::string_view key);
Digest digest_from(std::string_view text, std::string_view name);
/// A digest as a column holds it; what is missing at its end is zero.
Digest digest_of(std::string_view bytes);

std::int64_t repo_id(sqlite::Database& db, std::string_view name);
std::int64_t name_id(sqlite::Database& db, std::string_view text);
std::int64_t content_id(sqlite::Database& db, const Digest& digest);
/// The content that a member names; nullopt when it is missing or null.
std::optional<std::int64_t>
optional_content(sqlite::Database& db, const Json& object, std::string_view key);
std::int64_t image_id(sqlite::Database& db, const Digest& digest);
std::int64_t host_id(sqlite::Database& db, std::string_view name);
std::int64_t vm_id(sqlite::Database& db, std::string_view uuid, std::string_view name);

/// Name, version and architecture of a package; its place in an image is (name, arch).
struct PackageName {
    std::string name;
    std::string version;
    std::string arch;
    std::string purl;
};
/// From members name, version, arch, purl; what is missing is read from the purl.
PackageName package_name(const Json& object);
/// The row of a package file, or of a package that only a package database names.
std::int64_t
package_id(sqlite::Database& db, const PackageName& name, const std::optional<Digest>& sha256);

} // namespace stemma::lineage
