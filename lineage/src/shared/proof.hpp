#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ledger.hpp"

/// A shared ledger is read as somebody else's word: every event against its hash, every commit
/// against its events and the commit before. Nothing that does not prove itself is passed on.
namespace stemma::lineage {

/// An event whose content has its hash; or a tombstone, of which only the commit's root tells.
struct ProvenEvent {
    std::uint64_t seq = 0;
    model::Event event; ///< of a tombstone the body is {"pruned": true}
    std::string body;   ///< canonical; empty for a tombstone
    Digest hash;
    bool pruned = false;
};

struct ProofSink {
    std::function<void(const ProvenEvent&)> event;
    std::function<void(const CommitRow&)> commit; ///< after its events
};

/// Reads whole commits after `after`, as many as have about `most` events, and at least one.
/// returns  the last commit that was read; `after` when there is none
/// throws   corrupt: something does not prove itself; remote
CommitRow read_proven(SharedLedger& ledger,
                      const CommitRow& after,
                      std::uint64_t most,
                      const ProofSink& sink);

/// A row for the server, of an event that lies in the store.
SharedEvent shared_event(Store::Impl& store, std::uint64_t seq);

} // namespace stemma::lineage
