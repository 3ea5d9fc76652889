#include "stemma/core/error.hpp"

#include "crossings.hpp"
#include "ids.hpp"

namespace stemma::lineage {

namespace {

void insert_payload(Store::Impl& store, std::int64_t package, const Placed& placed)
{
    auto& row =
        store.db.cached("INSERT OR IGNORE INTO payload(package, path, content, origin, link, "
                        "basis, seq) VALUES (?, ?, ?, ?, ?, ?, ?)");
    std::vector<std::int64_t> contents;
    for (const auto& entry : array_member(placed.event.body, "payload")) {
        const auto content = optional_content(store.db, entry, "sha256");
        const auto origin = optional_content(store.db, entry, "artifact");
        row.bind(package,
                 string_member(entry, "path"),
                 content,
                 origin,
                 optional_string_member(entry, "link").value_or("unexplained"),
                 optional_string_member(entry, "basis").value_or(""),
                 placed.seq)
            .run();
        if (const auto packed = origin ? origin : content) {
            contents.push_back(*packed);
        }
    }
    put_contents_elsewhere(store, contents);
}

} // namespace

void derive_package(Store::Impl& store, const Placed& placed)
{
    const auto& body = placed.event.body;
    const auto name = package_name(body);
    const auto package = package_id(store.db, name, digest_member(body, "sha256"));
    // An image may have named the file before, by its digest alone.
    store.db
        .cached("UPDATE package SET known = 1, purl = ?2, name = ?3, version = ?4, arch = ?5 "
                "WHERE id = ?1")
        .bind(package, name.purl, name.name, name.version, name.arch)
        .run();
    store.db.cached("INSERT INTO packed(seq, package, at, run, file) VALUES (?, ?, ?, ?, ?)")
        .bind(placed.seq,
              package,
              to_integer(placed.event.at),
              optional_string_member(body, "build"),
              optional_string_member(body, "file").value_or(""))
        .run();
    insert_payload(store, package, placed);
}

} // namespace stemma::lineage
