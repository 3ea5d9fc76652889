#include "stemma/core/error.hpp"

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

void insert_spans(sqlite::Database& db, std::int64_t vm, const VmHistory& history)
{
    auto& row = db.cached("INSERT OR REPLACE INTO vm_span(vm, since, until, host, image, state, "
                          "release, seq, placed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const auto& span : history.spans()) {
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
        db.cached("SELECT vm_event.seq, vm_event.at, origin.name, vm_event.oseq FROM vm_event "
                  "JOIN origin ON origin.id = vm_event.origin WHERE vm = ?");
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
    insert_spans(store.db, vm, history);
}

} // namespace

void derive_vm(Store::Impl& store, const Placed& placed)
{
    const auto& body = placed.event.body;
    const auto vm = vm_id(
        store.db, string_member(body, "uuid"), optional_string_member(body, "name").value_or(""));
    store.db.cached("INSERT INTO vm_event(vm, seq, at, origin, oseq) VALUES (?, ?, ?, ?, ?)")
        .bind(vm, placed.seq, to_integer(placed.event.at), placed.origin, placed.event.oseq)
        .run();
    refold(store, vm);
}

} // namespace stemma::lineage
