#include "stemma/core/error.hpp"

#include <array>
#include <utility>

#include "ids.hpp"

namespace stemma::lineage {

namespace {

void derive_snapshot(Store::Impl& store, const Placed& placed)
{
    const auto& body = placed.event.body;
    const auto vm = vm_id(
        store.db, string_member(body, "uuid"), optional_string_member(body, "name").value_or(""));
    store.db.cached("INSERT OR IGNORE INTO snapshot(id, vm, seq, at) VALUES (?, ?, ?, ?)")
        .bind(string_member(body, "id"), vm, placed.seq, to_integer(placed.event.at))
        .run();
}

void derive_release(Store::Impl& store, const Placed& placed)
{
    store.db.cached("INSERT INTO release_event(seq, name) VALUES (?, ?)")
        .bind(placed.seq, string_member(placed.event.body, "release"))
        .run();
}

void derive_channel(Store::Impl& store, const Placed& placed)
{
    const auto& body = placed.event.body;
    const auto digest = optional_string_member(body, "digest");
    const auto bytes = digest ? std::optional(digest_from(*digest, "digest")) : std::nullopt;
    store.db
        .cached("INSERT INTO channel(seq, channel, kind, name, version, digest, at, place) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(placed.seq,
              string_member(body, "channel"),
              string_member(body, "kind"),
              string_member(body, "name"),
              optional_string_member(body, "version"),
              bytes ? std::optional(sqlite::Blob{bytes_of(*bytes)}) : std::nullopt,
              to_integer(placed.event.at),
              place_of(placed.event))
        .run();
}

/// What was done to a VM from outside belongs to its history.
void derive_action(Store::Impl& store, const Placed& placed)
{
    if (optional_string_member(placed.event.body, "uuid")) {
        derive_vm(store, placed);
    }
}

using Deriver = void (*)(Store::Impl&, const Placed&);

constexpr std::array<std::pair<std::string_view, Deriver>, 21> derivers = {{
    {"build.recorded", derive_build},    {"package.packed", derive_package},
    {"image.created", derive_image},     {"image.retired", derive_image},
    {"host.added", derive_host},         {"host.state", derive_host},
    {"host.removed", derive_host},       {"release.step", derive_release},
    {"release.applied", derive_release}, {"release.paused", derive_release},
    {"release.resumed", derive_release}, {"release.retired", derive_release},
    {"vm.deployed", derive_vm},          {"vm.state", derive_vm},
    {"vm.verified", derive_vm},          {"vm.migrated", derive_vm},
    {"vm.retired", derive_vm},           {"vm.changed", derive_vm},
    {"snapshot.taken", derive_snapshot}, {"channel.set", derive_channel},
    {"action.run", derive_action},
}};

} // namespace

void derive(Store::Impl& store, const Placed& placed)
{
    store.db
        .cached("INSERT INTO origin_state(origin, events, last) VALUES (?1, 1, ?2) "
                "ON CONFLICT(origin) DO UPDATE SET events = events + 1, last = max(last, ?2)")
        .bind(placed.origin, placed.event.oseq)
        .run();
    if (placed.pruned) {
        return;
    }
    for (const auto& [kind, deriver] : derivers) {
        if (kind == placed.event.kind) {
            deriver(store, placed);
            return;
        }
    }
    // A kind of a later version, or of somebody else's: kept in the ledger, and shown by `log`.
}

} // namespace stemma::lineage
