#include "rows.hpp"

#include "stemma/core/error.hpp"

#include "../store/ids.hpp"
#include "body.hpp"

namespace stemma::lineage {

using sqlite::Blob;

CommitRow commit_of(const sqlite::Statement& row)
{
    CommitRow found;
    found.commit.no = static_cast<std::uint64_t>(row.integer(0));
    found.commit.first = static_cast<std::uint64_t>(row.integer(1));
    found.commit.last = static_cast<std::uint64_t>(row.integer(2));
    found.commit.recorded = to_time(row.integer(3));
    found.commit.root = digest_of(row.view(4));
    found.chain = digest_of(row.view(5));
    return found;
}

CommitRow last_commit(sqlite::Database& db)
{
    auto& row = db.cached(fmt::format("{}ORDER BY no DESC LIMIT 1", commit_columns));
    const auto found = row.step() ? commit_of(row) : CommitRow();
    row.reset();
    return found;
}

std::vector<CommitRow> commits_after(sqlite::Database& db, std::uint64_t no)
{
    std::vector<CommitRow> found;
    auto& rows = db.cached(fmt::format("{}WHERE no > ? ORDER BY no", commit_columns));
    rows.bind(no);
    while (rows.step()) {
        found.push_back(commit_of(rows));
    }
    rows.reset();
    return found;
}

void insert_commit(sqlite::Database& db, const CommitRow& row)
{
    db.cached(
          "INSERT INTO commits(no, first, last, recorded, root, chain) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(row.commit.no,
              row.commit.first,
              row.commit.last,
              to_integer(row.commit.recorded),
              Blob{bytes_of(row.commit.root)},
              Blob{bytes_of(row.chain)})
        .run();
}

namespace {

void insert(Store::Impl& store, const Placed& placed, const StoredBody& stored, const Digest& hash)
{
    store.db
        .cached("INSERT INTO event(seq, origin, oseq, at, kind, encoding, body, hash) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(placed.seq,
              placed.origin,
              placed.event.oseq,
              to_integer(placed.event.at),
              placed.event.kind,
              stored.encoding,
              Blob{stored.bytes},
              Blob{bytes_of(hash)})
        .run();
}

} // namespace

void insert_event(Store::Impl& store, const Placed& placed, std::string body, const Digest& hash)
{
    insert(store, placed, pack_body(store, placed, std::move(body)), hash);
}

void insert_tombstone(Store::Impl& store, const Placed& placed, const Digest& hash)
{
    insert(store, placed, {pruned_encoding, {}}, hash);
}

Digest hash_at(Store::Impl& store, std::uint64_t seq)
{
    auto& row = store.db.cached("SELECT hash FROM event WHERE seq = ?");
    row.bind(seq);
    const auto hash = row.step() ? digest_of(row.view(0)) : Digest();
    row.reset();
    return hash;
}

} // namespace stemma::lineage
