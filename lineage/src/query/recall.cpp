#include "recall.hpp"

namespace stemma::lineage {

Recall::Recall(Store::Impl& store, std::uint64_t known_at)
    : builds(store, known_at), images(store, known_at)
{
}

namespace {

/// True when nothing that happened after `seq` is about builds, packages or images.
bool only_fleet_since(Store::Impl& store, std::uint64_t seq)
{
    auto& row = store.db.cached("SELECT 1 FROM event WHERE seq > ? AND kind NOT GLOB 'vm.*' AND "
                                "kind NOT GLOB 'host.*' AND kind NOT GLOB 'release.*' AND "
                                "kind NOT IN ('snapshot.taken', 'action.run', 'channel.set') "
                                "LIMIT 1");
    row.bind(seq);
    const bool other = row.step();
    row.reset();
    return !other;
}

bool holds(Store::Impl& store, const Recall& known, const Recall& now)
{
    if (known.schema != now.schema || known.last_seq > now.last_seq) {
        return false;
    }
    if (known.last_seq == now.last_seq) {
        return known.changed == now.changed;
    }
    return only_fleet_since(store, known.last_seq);
}

} // namespace

std::shared_ptr<Recall> recall(Store::Impl& store)
{
    auto now = std::make_shared<Recall>(store, static_cast<std::uint64_t>(forever));
    now->last_seq = store.last_seq();
    now->schema = store.db.integer("PRAGMA schema_version");
    now->changed = store.db.integer("PRAGMA data_version");
    if (store.recall && holds(store, *store.recall, *now)) {
        store.recall->last_seq = now->last_seq;
        store.recall->changed = now->changed;
    } else {
        store.recall = std::move(now);
    }
    return store.recall;
}

} // namespace stemma::lineage
