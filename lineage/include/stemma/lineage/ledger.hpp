#pragma once

#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/lineage/store.hpp"

#include <cstdint>
#include <map>
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
    std::uint64_t pruned = 0; ///< of the events: only tombstones
    Checkpoint head;
    std::vector<std::string> findings; ///< empty: whole
    /// Pages of the file without a checksum: another program copied them out of the log.
    std::uint64_t unchecked_pages = 0;
    std::vector<Gap> gaps; ///< events that other origins made and that have not arrived
};

/// Proves the ledger: every event against its hash, every commit against its root, the chain from
/// the first to the last, the database's own structure.
/// throws  interrupted; io
VerifyReport verify(Store& store, const Verification& wanted);

/// Events in the order of the ledger.
struct EventsPart {
    std::vector<model::Event> events;
    std::uint64_t last = 0; ///< position that this part reaches
};
/// The next events after a position, at most `most`, and no more when their bodies are over 64 MiB;
/// what was pruned is left out.
EventsPart events_after(Store& store, std::uint64_t seq, std::size_t most);

/// Copies the store, online, into a new file; whole or not at all.
/// throws  conflict: the file exists; io
void backup(Store& store, const std::string& path);

/// Which facts may go: those from before a moment on which nothing depends that lives or was kept.
struct Retention {
    Time before{};                  ///< by valid time
    bool really = false;            ///< false: only reckons what would go
    Progress* progress = nullptr;   ///< may be null
    const Cancel* cancel = nullptr; ///< may be null
};

struct Pruned {
    std::map<std::string, std::uint64_t> events; ///< how many of each kind
    std::uint64_t bytes = 0;                     ///< of their bodies, as they were stored
};

/// Takes the content of old facts out of the ledger; their places, times, kinds and hashes stay as
/// tombstones, so that every root and the chain can still be proved, and a fact ledger.pruned says
/// what was taken. Kept is, whatever its age: everything in live VMs and in images that are not
/// retired, the newest build of each branch, the newest package of each name, heads of channels,
/// and the facts about hosts that are there. One transaction, in which all tables are derived
/// again. source  docs/lineage.md, "Retention" throws  io, interrupted: nothing was changed
Pruned prune(Store& store, const Retention& retention);

/// Packs what an older version of stemma recorded as this one would, and writes the store's file
/// anew, without free pages; others wait. Needs its size as free space.
void compact(Store& store);

/// What the store's file is made of.
struct StoreSizes {
    struct Part {
        std::uint64_t count = 0;
        std::uint64_t bytes = 0; ///< bodies, as they are stored
    };
    std::string path;       ///< of the file; for a ledger on a server, of this machine's copy
    std::uint64_t file = 0; ///< bytes
    std::uint64_t log = 0;  ///< bytes of the write-ahead log
    std::uint64_t free = 0; ///< bytes of free pages: what compact() gives back
    Part events;
    std::map<std::string, Part> kinds; ///< of events
    Part recent;                       ///< recorded since the moment that was asked for
    bool page_checksums = false;
    /// Settings of a ledger's server with which it may lose what it acknowledged.
    std::vector<std::string> unsafe_settings;
};
StoreSizes sizes(Store& store, Time since);

/// Makes every derived table again, in one transaction.
/// returns  how many events were read
std::uint64_t rebuild(Store& store, Progress* progress = nullptr, const Cancel* cancel = nullptr);

} // namespace stemma::lineage
