#include "ids.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>

namespace stemma::lineage {

using sqlite::Blob;

std::string_view bytes_of(const Digest& digest)
{
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes as text
    return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

Digest digest_of(std::string_view bytes)
{
    Digest digest;
    std::copy_n(bytes.begin(), std::min(bytes.size(), digest.bytes.size()), digest.bytes.begin());
    return digest;
}

Digest digest_from(std::string_view text, std::string_view name)
{
    if (const auto digest = Digest::from_hex(text)) {
        return *digest;
    }
    throw Error(ErrorCode::corrupt, fmt::format("member '{}': '{}' is not a sha256", name, text));
}

Digest digest_member(const Json& object, std::string_view key)
{
    return digest_from(string_member(object, key), key);
}

namespace {

template <typename Key>
std::int64_t
find_or_make(sqlite::Database& db, std::string_view find, std::string_view make, const Key& key)
{
    auto& found = db.cached(find);
    found.bind(key);
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    db.cached(make).bind(key).run();
    return db.last_insert_id();
}

/// "pkg:deb/debian/shop@1.0?arch=amd64" without its type and namespace.
void read_purl(PackageName& package)
{
    std::string_view rest = package.purl;
    const auto question = rest.find('?');
    if (question != std::string_view::npos) {
        const auto qualifiers = rest.substr(question + 1);
        const auto arch = qualifiers.find("arch=");
        if (arch != std::string_view::npos && package.arch.empty()) {
            package.arch = qualifiers.substr(arch + 5, qualifiers.find('&', arch) - arch - 5);
        }
        rest = rest.substr(0, question);
    }
    const auto at = rest.rfind('@');
    if (at != std::string_view::npos) {
        if (package.version.empty()) {
            package.version = rest.substr(at + 1);
        }
        rest = rest.substr(0, at);
    }
    if (package.name.empty()) {
        package.name = rest.substr(rest.rfind('/') + 1);
    }
}

} // namespace

std::int64_t repo_id(sqlite::Database& db, std::string_view name)
{
    return find_or_make(
        db, "SELECT id FROM repo WHERE name = ?", "INSERT INTO repo(name) VALUES (?)", name);
}

std::int64_t name_id(sqlite::Database& db, std::string_view text)
{
    return find_or_make(
        db, "SELECT id FROM name WHERE text = ?", "INSERT INTO name(text) VALUES (?)", text);
}

std::int64_t content_id(sqlite::Database& db, const Digest& digest)
{
    return find_or_make(db,
                        "SELECT id FROM content WHERE sha256 = ?",
                        "INSERT INTO content(sha256) VALUES (?)",
                        Blob{bytes_of(digest)});
}

std::optional<std::int64_t>
optional_content(sqlite::Database& db, const Json& object, std::string_view key)
{
    const auto text = optional_string_member(object, key);
    return text ? std::optional(content_id(db, digest_from(*text, key))) : std::nullopt;
}

std::int64_t image_id(sqlite::Database& db, const Digest& digest)
{
    return find_or_make(db,
                        "SELECT id FROM image WHERE digest = ?",
                        "INSERT INTO image(digest) VALUES (?)",
                        Blob{bytes_of(digest)});
}

std::int64_t host_id(sqlite::Database& db, std::string_view name)
{
    return find_or_make(
        db, "SELECT id FROM host WHERE name = ?", "INSERT INTO host(name) VALUES (?)", name);
}

std::int64_t vm_id(sqlite::Database& db, std::string_view uuid, std::string_view name)
{
    auto& found = db.cached("SELECT id FROM vm WHERE uuid = ?");
    found.bind(uuid);
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    db.cached("INSERT INTO vm(uuid, name) VALUES (?, ?)").bind(uuid, name).run();
    return db.last_insert_id();
}

PackageName package_name(const Json& object)
{
    PackageName package;
    package.purl = optional_string_member(object, "purl").value_or("");
    package.name = optional_string_member(object, "name").value_or("");
    package.version = optional_string_member(object, "version").value_or("");
    package.arch = optional_string_member(object, "arch").value_or("");
    read_purl(package);
    return package;
}

std::int64_t
package_id(sqlite::Database& db, const PackageName& name, const std::optional<Digest>& sha256)
{
    auto& found = sha256 ? db.cached("SELECT id FROM package WHERE sha256 = ?")
                         : db.cached("SELECT id FROM package WHERE sha256 IS NULL AND name = ? AND "
                                     "version = ? AND arch = ?");
    if (sha256) {
        found.bind(Blob{bytes_of(*sha256)});
    } else {
        found.bind(name.name, name.version, name.arch);
    }
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    auto& make = db.cached("INSERT INTO package(sha256, purl, name, version, arch, known) "
                           "VALUES (?, ?, ?, ?, ?, 0)");
    make.bind(sha256 ? std::optional(Blob{bytes_of(*sha256)}) : std::nullopt,
              name.purl,
              name.name,
              name.version,
              name.arch);
    make.run();
    return db.last_insert_id();
}

} // namespace stemma::lineage
