#include "stemma/lineage/ledger.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>

#include "../store/ids.hpp"
#include "../store/impl.hpp"
#include "body.hpp"
#include "merkle.hpp"
#include "rows.hpp"

namespace stemma::lineage {

std::string place_of(const model::Event& event)
{
    return fmt::format("{}/{:020}", event.origin, event.oseq);
}

std::optional<std::string> Store::Impl::meta(std::string_view key)
{
    auto& row = db.cached("SELECT value FROM meta WHERE key = ?");
    row.bind(key);
    auto value = row.step() ? std::optional(row.text(0)) : std::nullopt;
    row.reset();
    return value;
}

std::uint64_t Store::Impl::last_seq()
{
    auto& row = db.cached("SELECT ifnull(max(seq), 0) FROM event");
    row.step();
    const auto seq = static_cast<std::uint64_t>(row.integer(0));
    row.reset();
    return seq;
}

std::int64_t Store::Impl::origin_id(std::string_view name)
{
    auto& found = db.cached("SELECT id FROM origin WHERE name = ?");
    found.bind(name);
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    db.cached("INSERT INTO origin(name) VALUES (?)").bind(name).run();
    return db.last_insert_id();
}

std::uint64_t Store::Impl::last_oseq(std::string_view name)
{
    auto& row = db.cached("SELECT ifnull(max(oseq), 0) FROM event JOIN origin "
                          "ON origin.id = event.origin WHERE origin.name = ?");
    row.bind(name);
    row.step();
    const auto oseq = static_cast<std::uint64_t>(row.integer(0));
    row.reset();
    return oseq;
}

model::Event event_of_row(Store::Impl& store, const sqlite::Statement& row)
{
    model::Event event;
    event.at = to_time(row.integer(0));
    event.kind = row.text(1);
    event.origin = row.text(2);
    event.oseq = static_cast<std::uint64_t>(row.integer(3));
    const auto name = fmt::format("event {}/{} ({})", event.origin, event.oseq, event.kind);
    event.body = unpack_body(store, {row.integer(4), row.text(5)}, name);
    return event;
}

model::Event Store::Impl::event_at(std::uint64_t seq)
{
    auto statement = db.prepare(fmt::format("SELECT {} FROM event JOIN origin ON origin.id = "
                                            "event.origin WHERE seq = ?",
                                            event_columns));
    statement.bind(seq);
    if (!statement.step()) {
        throw Error(ErrorCode::corrupt, fmt::format("the ledger has no event {}", seq));
    }
    return event_of_row(*this, statement);
}

EventsPart events_after(Store& store, std::uint64_t seq, std::size_t most)
{
    constexpr std::size_t enough = std::size_t{64} << 20U;
    EventsPart part{{}, seq};
    std::size_t size = 0;
    auto rows = store.impl().db.prepare(
        fmt::format("SELECT {}, event.seq FROM event JOIN origin ON origin.id = event.origin WHERE "
                    "seq > ? ORDER BY seq LIMIT ?",
                    event_columns));
    rows.bind(seq, most);
    while (size < enough && rows.step()) {
        part.last = static_cast<std::uint64_t>(rows.integer(6));
        size += rows.view(5).size();
        if (rows.integer(4) != pruned_encoding) {
            part.events.push_back(event_of_row(store.impl(), rows));
        }
    }
    return part;
}

bool Store::Impl::is_pruned(std::uint64_t seq)
{
    auto& row = db.cached("SELECT encoding FROM event WHERE seq = ?");
    row.bind(seq);
    const bool pruned = row.step() && row.integer(0) == pruned_encoding;
    row.reset();
    return pruned;
}

namespace {

/// True when the same event is there already.
/// throws  conflict: another event has its identity
bool is_duplicate(Store::Impl& store,
                  std::int64_t origin,
                  const model::Event& event,
                  const Digest& hash)
{
    auto& row = store.db.cached("SELECT hash, seq FROM event WHERE origin = ? AND oseq = ?");
    row.bind(origin, event.oseq);
    if (!row.step()) {
        return false;
    }
    const bool same = row.view(0) == bytes_of(hash);
    const auto seq = row.integer(1);
    row.reset();
    if (!same) {
        store.equivocation = fmt::format(
            "origin {} says two different things as its event {} (the first is event {} of this "
            "ledger)",
            event.origin,
            event.oseq,
            seq);
        throw Error(ErrorCode::conflict,
                    *store.equivocation,
                    "the origin was restored from an old copy, or somebody forges its events");
    }
    return true;
}

void commit(Store::Impl& store,
            std::uint64_t first,
            std::uint64_t last,
            std::span<const Digest> leaves)
{
    const auto before = last_commit(store.db);
    CommitRow row;
    row.commit.no = before.commit.no + 1;
    row.commit.first = first;
    row.commit.last = last;
    // Recorded time never goes back, whatever the machine's clock does.
    row.commit.recorded = store.clock.now();
    if (before.commit.no != 0) {
        row.commit.recorded = std::max(row.commit.recorded, before.commit.recorded);
    }
    row.commit.root = merkle_root(leaves);
    row.chain = chain_hash(before.chain, row.commit);
    insert_commit(store.db, row);
}

} // namespace

AppendResult Store::Impl::record(std::span<const model::EventDraft> drafts)
{
    auto oseq = last_oseq(origin);
    std::vector<model::Event> events;
    events.reserve(drafts.size());
    for (const auto& draft : drafts) {
        events.push_back({origin, ++oseq, draft.at, draft.kind, draft.body});
    }
    return append(events);
}

void Store::Impl::record_equivocation()
{
    const model::EventDraft draft{
        clock.now(), "ledger.equivocation", Json{{"reason", equivocation.value_or("")}}};
    record(std::span(&draft, 1));
}

AppendResult Store::Impl::append(std::span<const model::Event> events)
{
    equivocation.reset();
    AppendResult result;
    result.last_seq = last_seq();
    const auto first = result.last_seq + 1;
    std::vector<Digest> leaves;
    for (const auto& event : events) {
        const auto from = origin_id(event.origin);
        auto body = canonical_json(event.body);
        const Digest hash = leaf_hash(model::canonical_event(event, body));
        if (is_duplicate(*this, from, event, hash)) {
            ++result.duplicates;
            continue;
        }
        const Placed placed{result.last_seq + 1, from, event};
        doing(
            [&] {
                insert_event(*this, placed, std::move(body), hash);
                derive(*this, placed);
            },
            "recording {} {} of {}",
            event.kind,
            event.oseq,
            event.origin);
        leaves.push_back(hash);
        ++result.fresh;
        ++result.last_seq;
    }
    if (!leaves.empty()) {
        commit(*this, first, result.last_seq, leaves);
    }
    return result;
}

} // namespace stemma::lineage
