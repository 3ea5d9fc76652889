#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/postgres/connection.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../ledger/rows.hpp"

/// The ledger of a team, in PostgreSQL: only what cannot be made again, in schema `stemma`.
///
/// | table     | what |
/// |-----------|-----------------------------------------------------------------------------------|
/// | `meta`    | `version` of these tables, `id` of the ledger, which is its origin | | `head`    |
/// one row, locked by whoever appends: one at a time, in one chain                   | | `event` |
/// seq, origin, oseq, at, kind, hash as in a file; body: canonical JSON (encoding 0),| | | in a
/// zstd frame (1), or pruned (2)                                                | | `commits` | as
/// in a file                                                                      |
///
/// Origin and kind are bytes, so that the database's encoding does not matter. Triggers refuse
/// changes; pruning alone may take a body away, after `SET stemma.pruning = 'on'`.
namespace stemma::lineage {

inline constexpr int shared_version = 1;

/// An event as the server has it; nothing of it is trusted.
struct SharedEvent {
    std::uint64_t seq = 0;
    std::string origin;
    std::uint64_t oseq = 0;
    Time at{};
    std::string kind;
    std::int64_t encoding = 0;
    std::string body; ///< as `encoding` says
    Digest hash;
};

/// One connection to a team's ledger: its rows, and the transaction that appends to them.
class SharedLedger {
public:
    /// create  makes the tables where there are none
    /// throws  usage: no address; remote: it cannot be reached; not_found: there are no tables;
    ///         unsupported: they are of a newer version
    SharedLedger(const std::string& url, bool create, const Clock& clock);

    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    [[nodiscard]] const std::string& place() const noexcept { return connection_.place(); }
    /// True when the connection broke.
    [[nodiscard]] bool is_lost() const noexcept { return connection_.is_lost(); }
    /// True when the server refused the last statement only because others were quicker.
    [[nodiscard]] bool may_try_again() const noexcept;

    /// Names of settings that are off and should not be.
    std::vector<std::string> unsafe_settings();
    CommitRow last_commit();
    std::optional<CommitRow> commit_at(std::uint64_t no);
    /// Ascending, at most `most`.
    std::vector<CommitRow> commits_after(std::uint64_t no, std::size_t most);
    /// The events of [first, last], ascending, one at a time.
    void
    events(std::uint64_t first, std::uint64_t last, const std::function<void(SharedEvent)>& each);

    /// Begins the transaction that appends: from here on nobody else does.
    /// throws  conflict: somebody held it for ten minutes
    void lock();
    void append(std::span<const SharedEvent> events, std::span<const CommitRow> commits);
    /// Takes bodies away.
    void bury(std::span<const std::uint64_t> seqs);
    postgres::Connection::Ending commit() { return connection_.commit(); }
    void roll_back() noexcept { connection_.roll_back(); }

private:
    bool find();
    void create_tables(const Clock& clock);
    postgres::Connection connection_;
    std::string id_;
};

} // namespace stemma::lineage
