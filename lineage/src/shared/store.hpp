#pragma once

#include "stemma/core/error.hpp"
#include "stemma/lineage/ledger.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ledger.hpp"

/// A store whose ledger lies on a server, for a team: "postgresql://…".
///
/// This machine keeps a copy, a store like any other, in which questions are answered; it follows
/// the ledger by what is new in it, and can be thrown away. What is recorded goes into the copy and
/// the ledger in one transaction each, the copy's kept after the ledger's: so the same code checks
/// and derives, wherever the ledger is, and the copy never knows what the ledger does not.
namespace stemma::lineage {

/// The folder of the copy of a ledger: named by where the ledger is, without who asks.
/// throws  usage: no address, or there is no place for it
std::filesystem::path copy_folder(const std::string& url);

struct ProvenEvent; // see proof.hpp

class SharedStore {
public:
    SharedStore(std::string url, Store::Mode mode, const Clock& clock, Log& log);

    /// File of the copy.
    [[nodiscard]] std::filesystem::path file() const { return folder_ / "lineage.db"; }
    /// Makes the folder, for this user alone.
    void make_folder() const;

    /// Connects, and brings the copy to where the ledger is. A ledger that cannot be reached is a
    /// gap of the answers when the store is only read.
    /// throws  remote: not reached, and something shall be recorded, or there is no copy yet;
    ///         corrupt: the ledger is another one, or its past was changed
    void open(Store::Impl& copy);
    /// Follows the ledger again, outside of a transaction; while it is out of reach, it is asked
    /// every ten seconds at most.
    void refresh(Store::Impl& copy);

    /// See in_transaction() of impl.hpp.
    /// throws  remote: the ledger cannot be reached; what `work` throws
    void in_transaction(Store::Impl& copy, const std::function<void()>& work);
    /// Takes the bodies of these events away, within a transaction.
    void bury(std::span<const std::uint64_t> seqs) { ledger_->bury(seqs); }

    /// Why the copy may not know everything.
    std::optional<Gap> gap(Store::Impl& copy) const;
    /// Settings of the server with which it may lose what it acknowledged; none when it is away.
    std::vector<std::string> unsafe_settings();
    /// Proves the server's own rows, and that they are those of the copy.
    /// returns  findings
    std::vector<std::string> findings(Store::Impl& copy, const Verification& wanted);

private:
    enum class Attempt { done, again };
    struct Tries {
        int count = 0;
        std::chrono::steady_clock::time_point end; ///< for a server that is away
    };

    void catch_up(Store::Impl& copy);
    void reach(Store::Impl& copy);
    void meet(Store::Impl& copy, const SharedLedger& ledger) const;
    void follow(Store::Impl& copy);
    void follow_locked(Store::Impl& copy);
    void check_same_past(Store::Impl& copy, const CommitRow& mine, const CommitRow& theirs);
    CommitRow take_some(Store::Impl& copy, const CommitRow& mine);
    void take(Store::Impl& copy, const ProvenEvent& proven) const;
    [[nodiscard]] bool is_connected() const noexcept;
    [[nodiscard]] bool is_worth_another_try(const Error& error, const Tries& tries) const;
    Attempt try_once(Store::Impl& copy, const std::function<void()>& work, const Tries& tries);
    Attempt attempt(Store::Impl& copy, const std::function<void()>& work);
    void send(Store::Impl& copy, const CommitRow& base);
    bool settle(Store::Impl& copy, const CommitRow& last);
    void was_reached() const;
    [[nodiscard]] std::string last_reached() const;
    [[nodiscard]] std::string way_back(const Store::Impl& copy) const;
    [[nodiscard]] Error away(const Error& why) const;

    std::string url_;
    std::filesystem::path folder_;
    Store::Mode mode_;
    const Clock& clock_;
    Log& log_;
    std::unique_ptr<SharedLedger> ledger_;
    /// Why the ledger cannot be reached, and when that was last tried.
    std::optional<Error> out_of_reach_;
    std::chrono::steady_clock::time_point tried_{};
    /// Nobody knows whether the last commit was kept: doing it again could say things twice.
    bool unsure_ = false;
};

} // namespace stemma::lineage
