#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/lineage/store.hpp"
#include "stemma/sqlite/database.hpp"

#include <functional>
#include <limits>

#include "../write/link.hpp"

namespace stemma::lineage {

/// `until` of what has not ended.
inline constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

inline std::int64_t to_integer(Time time)
{
    return time.time_since_epoch().count();
}
inline Time to_time(std::int64_t microseconds)
{
    return Time(std::chrono::microseconds(microseconds));
}

/// An event where it stands in the ledger, by reference.
struct Placed {
    std::uint64_t seq = 0;
    std::int64_t origin = 0; ///< row of table origin
    const model::Event& event;
    bool pruned = false; ///< its body is gone
};

/// event.encoding of a fact whose content was pruned.
inline constexpr std::int64_t pruned_encoding = 2;

/// Sorts equal times the same way wherever and whenever events arrive: "origin/000…oseq".
std::string place_of(const model::Event& event);

struct Recall;     // see ../query/recall.hpp
class SharedStore; // see ../shared/store.hpp

struct Store::Impl {
    Impl(const std::string& path,
         const sqlite::Options& options,
         const Clock& the_clock,
         Log& the_log)
        : db(path, options), clock(the_clock), log(the_log)
    {
    }

    sqlite::Database db;
    const Clock& clock;
    Log& log;
    std::string origin;
    /// To the one writer of the store; without one, this process writes itself.
    std::optional<WriterLink> link;
    /// Why the last append() was refused, when an origin contradicted itself.
    std::optional<std::string> equivocation;
    /// The ledger on a server that this file is a copy of; null: the file is the ledger.
    std::shared_ptr<SharedStore> shared;
    /// What questions read and the next ones read again.
    std::shared_ptr<Recall> recall;

    /// What the store itself says, within the caller's transaction.
    AppendResult record(std::span<const model::EventDraft> drafts);
    /// Appends to the ledger and derives, within the caller's transaction.
    /// returns  how many were new
    /// throws  conflict: an origin contradicts itself (`equivocation` says how); the caller takes
    ///         back what was done
    AppendResult append(std::span<const model::Event> events);
    /// Says in the ledger that events were refused, in the caller's transaction.
    void record_equivocation();
    std::uint64_t last_seq();
    std::int64_t origin_id(std::string_view name);
    std::uint64_t last_oseq(std::string_view name);
    /// The body of a pruned event is {"pruned": true}.
    /// throws  corrupt: no such event, or its bytes are damaged
    model::Event event_at(std::uint64_t seq);
    bool is_pruned(std::uint64_t seq);
    std::optional<std::string> meta(std::string_view key);
};

/// Runs `work`, which records, in one transaction of the ledger: it is durable when this returns,
/// or nothing of it was kept. Where the ledger is on a server, `work` may run more than once, each
/// time after what was recorded meanwhile, and without what it did before.
void in_transaction(Store::Impl& store, const std::function<void()>& work);

/// Reads one event of `SELECT at, kind, name of origin, oseq, encoding, body`.
/// throws  corrupt: its bytes are damaged; unsupported: a newer encoding
model::Event event_of_row(Store::Impl& store, const sqlite::Statement& row);
inline constexpr std::string_view event_columns =
    "event.at, event.kind, origin.name, event.oseq, event.encoding, event.body";

/// Brings the derived tables from before `placed` to after it. Answers do not depend on the order
/// in which events arrive.
/// throws  corrupt: the body lacks what the kind promises
void derive(Store::Impl& store, const Placed& placed);

/// Facts up to a ledger position and a moment.
struct HostView {
    std::int64_t known_at = forever;
    std::int64_t at = forever;
};
/// What the events of a host say of it.
HostInfo host_at(Store::Impl& store, std::int64_t id, std::string name, const HostView& view = {});

void derive_build(Store::Impl& store, const Placed& placed);
void derive_package(Store::Impl& store, const Placed& placed);
void derive_image(Store::Impl& store, const Placed& placed);
void derive_host(Store::Impl& store, const Placed& placed);
void derive_vm(Store::Impl& store, const Placed& placed);

} // namespace stemma::lineage
