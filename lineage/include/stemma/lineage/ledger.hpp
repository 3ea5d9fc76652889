#pragma once

#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/lineage/store.hpp"

#include <optional>
#include <string>
#include <vector>

/// The ledger's integrity: proofs, copies, and making again what is derived from it.
namespace stemma::lineage {

/// Where a ledger stood at one commit. Kept elsewhere, it shows later that nothing up to there was
/// changed or cut off.
///
/// Format `stemma.checkpoint/1`: {"chain","commit","origin","recorded","root","schema","seq"}, one
/// line, keys sorted; `root` and `chain` as 64 hexadecimal digits.
struct Checkpoint {
    std::string origin;       ///< the store's own
    std::uint64_t commit = 0; ///< 0: nothing was recorded yet
    std::uint64_t seq = 0;    ///< position of its last event
    Digest root;              ///< RFC 6962 root of the commit's events
    Digest chain;             ///< hash of this commit and all before it
    Time recorded{};
};
Json to_json(const Checkpoint& checkpoint);
/// throws  corrupt; unsupported: a newer schema
Checkpoint checkpoint_from_json(const Json& json);
Checkpoint checkpoint_of(Store& store);

/// What verify() is to look at, and how it is watched.
struct Verification {
    bool rebuild = false; ///< derive everything again beside the store, and compare
    std::optional<Checkpoint> against;
    Progress* progress = nullptr;   ///< may be null
    const Cancel* cancel = nullptr; ///< may be null
};

struct VerifyReport {
    std::uint64_t events = 0;
    std::uint64_t commits = 0;
    Checkpoint head;
    std::vector<std::string> findings; ///< empty: whole
    std::vector<Gap> gaps;             ///< events that other origins made and that have not arrived
};

/// Proves the ledger: every event against its hash, every commit against its root, the chain from
/// the first to the last, the database's own structure.
/// throws  interrupted; io
VerifyReport verify(Store& store, const Verification& wanted);

/// Copies the store, online, into a new file; whole or not at all.
/// throws  conflict: the file exists; io
void backup(Store& store, const std::string& path);

/// Makes every derived table again, in one transaction.
/// returns  how many events were read
std::uint64_t rebuild(Store& store, Progress* progress = nullptr, const Cancel* cancel = nullptr);

} // namespace stemma::lineage
