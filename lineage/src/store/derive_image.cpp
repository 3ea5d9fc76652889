#include "stemma/core/error.hpp"

#include <set>

#include "crossings.hpp"
#include "ids.hpp"

namespace stemma::lineage {

namespace {

using PackageSet = std::set<std::int64_t>;

std::optional<std::int64_t>
image_column(sqlite::Database& db, std::string_view sql, std::int64_t image)
{
    auto& row = db.cached(sql);
    row.bind(image);
    if (!row.step()) {
        return std::nullopt;
    }
    const auto value = row.optional_integer(0);
    row.reset();
    return value;
}

/// What the package database of a listed image says: its base's, with its own differences.
PackageSet listing_of(sqlite::Database& db, std::optional<std::int64_t> image)
{
    std::vector<std::int64_t> chain;
    for (; image; image = image_column(db, "SELECT base FROM image WHERE id = ?", *image)) {
        chain.push_back(*image);
    }
    PackageSet listing;
    auto& rows = db.cached("SELECT package, op FROM image_listing WHERE image = ?");
    for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
        rows.bind(*at);
        while (rows.step()) {
            if (rows.integer(1) != 0) {
                listing.insert(rows.integer(0));
            } else {
                listing.erase(rows.integer(0));
            }
        }
    }
    rows.reset();
    return listing;
}

void insert_listing(sqlite::Database& db,
                    std::int64_t image,
                    std::optional<std::int64_t> parent,
                    const Json& packages)
{
    std::optional<std::int64_t> base;
    if (parent && image_column(db, "SELECT listed FROM image WHERE id = ?", *parent) == 1) {
        base = parent;
    }
    PackageSet wanted;
    for (const auto& entry : packages) {
        wanted.insert(package_id(db, package_name(entry), std::nullopt));
    }
    const auto before = listing_of(db, base);
    db.cached("UPDATE image SET listed = 1, base = ? WHERE id = ?").bind(base, image).run();
    auto& row = db.cached("INSERT INTO image_listing(image, package, op) VALUES (?, ?, ?)");
    for (const auto package : wanted) {
        if (before.count(package) == 0) {
            row.bind(image, package, 1).run();
        }
    }
    for (const auto package : before) {
        if (wanted.count(package) == 0) {
            row.bind(image, package, 0).run();
        }
    }
}

/// One entry of "installed" (op 1) or "removed" (op 0).
void insert_change(Store::Impl& store, std::int64_t image, const Json& entry, int op)
{
    auto& db = store.db;
    const auto kind = optional_string_member(entry, "kind").value_or("deb");
    const auto sha256 = optional_string_member(entry, "sha256");
    const auto digest = sha256 ? std::optional(digest_from(*sha256, "sha256")) : std::nullopt;
    if (kind == "deb" || kind == "rpm") {
        const auto package = package_id(db, package_name(entry), digest);
        db.cached("INSERT OR REPLACE INTO image_package(image, package, op) VALUES (?, ?, ?)")
            .bind(image, package, op)
            .run();
        return;
    }
    const auto path = optional_string_member(entry, "path")
                          .value_or(optional_string_member(entry, "name").value_or(""));
    const auto content = optional_content(db, entry, "sha256");
    db.cached("INSERT OR REPLACE INTO image_file(image, path, content, kind, op) "
              "VALUES (?, ?, ?, ?, ?)")
        .bind(image, path, content, kind, op)
        .run();
    if (content && op == 1) {
        put_contents_elsewhere(store, std::span(&*content, 1));
    }
}

void insert_changes(Store::Impl& store, std::int64_t image, const Json& body)
{
    for (const auto& [key, op] : {std::pair("removed", 0), std::pair("installed", 1)}) {
        const auto entries = body.find(key);
        if (entries == body.end() || !entries->is_array()) {
            continue;
        }
        for (const auto& entry : *entries) {
            insert_change(store, image, entry, op);
        }
    }
}

void forget_image(sqlite::Database& db, std::int64_t image)
{
    for (const auto* sql : {"DELETE FROM image_package WHERE image = ?",
                            "DELETE FROM image_listing WHERE image = ?",
                            "DELETE FROM image_file WHERE image = ?"}) {
        db.cached(sql).bind(image).run();
    }
}

/// The event that describes a digest is the earliest of all that do, in whatever order they come.
bool describes(sqlite::Database& db, std::int64_t image, const Placed& placed)
{
    auto& row = db.cached("SELECT at, place FROM image WHERE id = ? AND seq IS NOT NULL");
    row.bind(image);
    if (!row.step()) {
        return true;
    }
    const auto at = to_integer(placed.event.at);
    const bool earlier =
        at != row.integer(0) ? at < row.integer(0) : place_of(placed.event) < row.text(1);
    row.reset();
    return earlier;
}

void describe(Store::Impl& store, std::int64_t image, const Placed& placed)
{
    auto& db = store.db;
    const auto& body = placed.event.body;
    forget_image(db, image);
    const auto parent_digest = optional_string_member(body, "parent");
    const auto parent = parent_digest
                            ? std::optional(image_id(db, digest_from(*parent_digest, "parent")))
                            : std::nullopt;
    db.cached("UPDATE image SET parent = ?, seq = ?, at = ?, place = ? WHERE id = ?")
        .bind(parent, placed.seq, to_integer(placed.event.at), place_of(placed.event), image)
        .run();
    insert_changes(store, image, body);
    const auto packages = body.find("packages");
    if (packages != body.end() && packages->is_array() && !packages->empty()) {
        insert_listing(db, image, parent, *packages);
    }
}

/// Images whose listing is told as a difference from this one's are told again.
void describe_dependants(Store::Impl& store, std::int64_t image)
{
    std::vector<std::pair<std::int64_t, std::uint64_t>> dependants;
    auto& rows = store.db.cached("SELECT id, seq FROM image WHERE base = ?");
    rows.bind(image);
    while (rows.step()) {
        dependants.emplace_back(rows.integer(0), static_cast<std::uint64_t>(rows.integer(1)));
    }
    rows.reset();
    for (const auto& [dependant, seq] : dependants) {
        const auto event = store.event_at(seq);
        describe(store, dependant, {seq, 0, event});
        describe_dependants(store, dependant);
    }
}

} // namespace

void derive_image(Store::Impl& store, const Placed& placed)
{
    const auto& body = placed.event.body;
    const auto image = image_id(store.db, digest_member(body, "digest"));
    const bool retired = placed.event.kind == "image.retired";
    store.db
        .cached("INSERT INTO image_name(seq, image, name, at, place, retired) VALUES (?, ?, ?, ?, "
                "?, ?)")
        .bind(placed.seq,
              image,
              optional_string_member(body, "name").value_or(""),
              to_integer(placed.event.at),
              place_of(placed.event),
              retired)
        .run();
    if (!retired && describes(store.db, image, placed)) {
        describe(store, image, placed);
        describe_dependants(store, image);
    }
}

} // namespace stemma::lineage
