#include "stemma/core/error.hpp"

#include <tuple>

#include "ids.hpp"
#include "vm_history.hpp"

namespace stemma::lineage {

using sqlite::Blob;

void derive_host(Store::Impl& store, const Placed& placed)
{
    const auto host = host_id(store.db, string_member(placed.event.body, "name"));
    store.db.cached("INSERT INTO host_event(seq, host, at, kind) VALUES (?, ?, ?, ?)")
        .bind(placed.seq, host, to_integer(placed.event.at), placed.event.kind)
        .run();
}

namespace {

/// Row 0 of hosts and images stands for what is not known.
constexpr std::int64_t unknown = 0;

void insert_spans(sqlite::Database& db, std::int64_t vm, const std::vector<VmSpan>& spans)
{
    auto& row = db.cached("INSERT OR REPLACE INTO vm_span(vm, since, until, host, image, state, "
                          "release, seq, placed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const auto& span : spans) {
        const auto host = span.host.empty() ? unknown : host_id(db, span.host);
        const auto image = span.image ? image_id(db, *span.image) : unknown;
        row.bind(vm,
                 span.since,
                 span.until,
                 host,
                 image,
                 span.state,
                 span.release,
                 span.seq,
                 span.placed);
        row.run();
    }
}

/// What a history says besides its spans.
void insert_rest(sqlite::Database& db, std::int64_t vm, const VmHistory& history)
{
    auto& conflict =
        db.cached("INSERT OR REPLACE INTO vm_conflict(vm, seq, reason) VALUES (?, ?, ?)");
    for (const auto& found : history.conflicts()) {
        conflict.bind(vm, found.seq, found.reason).run();
    }
    if (!history.name().empty()) {
        db.cached("UPDATE vm SET name = ?2 WHERE id = ?1 AND name <> ?2")
            .bind(vm, history.name())
            .run();
    }
}

std::vector<VmFact> facts_of(sqlite::Database& db, std::int64_t vm)
{
    std::vector<VmFact> facts;
    auto& row =
        db.cached("SELECT seq, event.at, origin.name, event.oseq FROM vm_event JOIN event USING "
                  "(seq) JOIN origin ON origin.id = event.origin WHERE vm = ?");
    row.bind(vm);
    while (row.step()) {
        facts.push_back({static_cast<std::uint64_t>(row.integer(0)),
                         row.integer(1),
                         row.text(2),
                         static_cast<std::uint64_t>(row.integer(3))});
    }
    row.reset();
    return facts;
}

void remember_last(sqlite::Database& db, std::int64_t vm, const VmFact& fact)
{
    db.cached("UPDATE vm SET last_at = ?2, last_origin = (SELECT id FROM origin WHERE name = ?3), "
              "last_oseq = ?4 WHERE id = ?1")
        .bind(vm, fact.at, fact.origin, fact.oseq)
        .run();
}

/// The whole history again, from the ledger.
void refold(Store::Impl& store, std::int64_t vm)
{
    auto facts = facts_of(store.db, vm);
    order(facts);
    VmHistory history;
    for (const auto& fact : facts) {
        history.apply(store.event_at(fact.seq), fact.seq, fact.at);
    }
    store.db.cached("DELETE FROM vm_span WHERE vm = ?").bind(vm).run();
    store.db.cached("DELETE FROM vm_conflict WHERE vm = ?").bind(vm).run();
    insert_spans(store.db, vm, history.spans());
    insert_rest(store.db, vm, history);
    remember_last(store.db, vm, facts.back());
}

/// The fact that was applied last; nullopt: none was.
std::optional<VmFact> last_fact(sqlite::Database& db, std::int64_t vm)
{
    auto& row = db.cached("SELECT last_at, origin.name, last_oseq FROM vm JOIN origin ON "
                          "origin.id = last_origin WHERE vm.id = ?");
    row.bind(vm);
    std::optional<VmFact> fact;
    if (row.step()) {
        fact = VmFact{0, row.integer(0), row.text(1), static_cast<std::uint64_t>(row.integer(2))};
    }
    row.reset();
    return fact;
}

/// True when order() puts the fact after all others of its VM: it is not before the last one, and
/// its origin has said nothing later.
bool comes_last(sqlite::Database& db, std::int64_t vm, const VmFact& fact, std::int64_t origin)
{
    const auto last = last_fact(db, vm);
    if (last &&
        std::tie(fact.at, fact.origin, fact.oseq) <= std::tie(last->at, last->origin, last->oseq)) {
        return false;
    }
    auto& row = db.cached("SELECT last FROM origin_state WHERE origin = ?");
    row.bind(origin);
    const bool newest = row.step() && static_cast<std::uint64_t>(row.integer(0)) == fact.oseq;
    row.reset();
    return newest;
}

std::optional<VmSpan> last_span(sqlite::Database& db, std::int64_t vm)
{
    auto& row = db.cached(
        "SELECT since, until, host.name, image.digest, state, release, vm_span.seq, placed FROM "
        "vm_span LEFT JOIN host ON host.id = host LEFT JOIN image ON image.id = image WHERE vm = ? "
        "ORDER BY since DESC LIMIT 1");
    row.bind(vm);
    std::optional<VmSpan> span;
    if (row.step()) {
        span.emplace();
        span->since = row.integer(0);
        span->until = row.integer(1);
        span->host = row.text(2);
        if (!row.is_null(3)) {
            span->image = digest_of(row.view(3));
        }
        span->state = row.text(4);
        span->release = row.text(5);
        span->seq = static_cast<std::uint64_t>(row.integer(6));
        span->placed = static_cast<std::uint64_t>(row.integer(7));
    }
    row.reset();
    return span;
}

/// Applies one fact after all others.
void extend(Store::Impl& store, std::int64_t vm, const VmFact& fact, const model::Event& event)
{
    const auto last = last_span(store.db, vm);
    VmHistory history(last);
    history.apply(event, fact.seq, fact.at);
    const auto& spans = history.spans();
    if (last && spans.empty()) { // it ended as it began
        store.db.cached("DELETE FROM vm_span WHERE vm = ? AND since = ?")
            .bind(vm, last->since)
            .run();
    } else if (!(last && spans.size() == 1 && spans.front() == *last)) {
        insert_spans(store.db, vm, spans);
    }
    insert_rest(store.db, vm, history);
    remember_last(store.db, vm, fact);
}

} // namespace

void derive_vm(Store::Impl& store, const Placed& placed)
{
    const auto& body = placed.event.body;
    const auto vm = vm_id(
        store.db, string_member(body, "uuid"), optional_string_member(body, "name").value_or(""));
    store.db.cached("INSERT INTO vm_event(vm, seq) VALUES (?, ?)").bind(vm, placed.seq).run();
    const VmFact fact{
        placed.seq, to_integer(placed.event.at), placed.event.origin, placed.event.oseq};
    if (comes_last(store.db, vm, fact, placed.origin)) {
        extend(store, vm, fact, placed.event);
    } else {
        refold(store, vm);
    }
}

} // namespace stemma::lineage
