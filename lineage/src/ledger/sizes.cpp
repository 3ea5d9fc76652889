#include "stemma/lineage/ledger.hpp"

#include <filesystem>

#include "../shared/store.hpp"
#include "../store/impl.hpp"
#include "../store/schema.hpp"
#include "body.hpp"

namespace stemma::lineage {

namespace {

StoreSizes::Part part_of(const sqlite::Statement& row, int column)
{
    return {static_cast<std::uint64_t>(row.integer(column)),
            static_cast<std::uint64_t>(row.integer(column + 1))};
}

} // namespace

StoreSizes sizes(Store& store, Time since)
{
    auto& db = store.impl().db;
    StoreSizes found;
    found.path = db.path();
    std::error_code ignored;
    found.file = std::filesystem::file_size(db.path(), ignored);
    found.log = db.log_size();
    found.free = static_cast<std::uint64_t>(db.integer("PRAGMA freelist_count") *
                                            db.integer("PRAGMA page_size"));
    found.page_checksums = db.has_page_checksums();
    if (const auto& shared = store.impl().shared) {
        found.unsafe_settings = shared->unsafe_settings();
    }
    auto kinds = db.prepare("SELECT kind, count(*), sum(length(body)) FROM event GROUP BY kind");
    while (kinds.step()) {
        const auto part = part_of(kinds, 1);
        found.kinds[kinds.text(0)] = part;
        found.events.count += part.count;
        found.events.bytes += part.bytes;
    }
    auto recent =
        db.prepare("SELECT count(*), ifnull(sum(length(body)), 0) FROM event WHERE seq >= "
                   "(SELECT min(first) FROM commits WHERE recorded >= ?)");
    recent.bind(to_integer(since));
    if (recent.step()) {
        found.recent = part_of(recent, 0);
    }
    return found;
}

void compact(Store& store)
{
    auto& db = store.impl().db;
    {
        sqlite::Transaction transaction(db);
        set_pruning(db, true);
        pack_old_bodies(store.impl());
        set_pruning(db, false);
        transaction.commit();
    }
    db.compact();
    if (db.has_page_checksums()) {
        db.prepare("INSERT INTO meta(key, value) SELECT ?1, 'on' WHERE NOT EXISTS "
                   "(SELECT 1 FROM meta WHERE key = ?1)")
            .bind(page_checksums_key)
            .run();
    }
}

} // namespace stemma::lineage
