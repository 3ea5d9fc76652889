#include "proof.hpp"

#include "stemma/core/error.hpp"
#include "stemma/zstd/zstd.hpp"

#include <vector>

#include "../ledger/merkle.hpp"

namespace stemma::lineage {

namespace {

constexpr std::int64_t plain_json = 0;
constexpr std::int64_t zipped_json = 1;
constexpr std::size_t worth_zipping = 2048;
constexpr std::uint64_t largest_shared_body = std::uint64_t{1} << 30U;
constexpr std::size_t commits_at_once = 1000;
/// No call that records says so much at once: its events lie in memory.
constexpr std::uint64_t largest_commit = std::uint64_t{1} << 24U;

Json body_of(const SharedEvent& row)
{
    const auto name = fmt::format("the body of event {}", row.seq);
    switch (row.encoding) {
    case plain_json:
        return parse_json(row.body, name);
    case zipped_json:
        return parse_json(zstd::decompress(row.body, largest_shared_body), name);
    default:
        throw Error(ErrorCode::unsupported,
                    fmt::format("event {} is encoded by a newer stemma", row.seq),
                    "upgrade stemma");
    }
}

/// throws  corrupt: it is no event, or its content has another hash
ProvenEvent proven(SharedEvent row)
{
    ProvenEvent found;
    found.seq = row.seq;
    found.hash = row.hash;
    found.pruned = row.encoding == pruned_encoding;
    if (found.pruned && !row.body.empty()) {
        throw Error(ErrorCode::corrupt, "it is a tombstone, and has a body");
    }
    // What every event must be, wherever it comes from.
    found.event =
        model::event_from_json({{"schema", model::event_schema},
                                {"at", format_time(row.at)},
                                {"body", found.pruned ? Json{{"pruned", true}} : body_of(row)},
                                {"kind", row.kind},
                                {"origin", row.origin},
                                {"oseq", static_cast<std::int64_t>(row.oseq)}});
    if (!found.pruned) {
        found.body = canonical_json(found.event.body);
        if (leaf_hash(model::canonical_event(found.event, found.body)) != row.hash) {
            throw Error(ErrorCode::corrupt, "its content does not have its hash");
        }
    }
    return found;
}

/// Takes the events of commits in order, and looks at each commit when its last event came.
class Prover {
public:
    Prover(const CommitRow& after, std::vector<CommitRow> commits, const ProofSink& sink)
        : done_(after), commits_(std::move(commits)), sink_(sink)
    {
    }

    void take(SharedEvent row)
    {
        const auto expected = commits_[at_].commit.first + leaves_.size();
        if (row.seq != expected) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("event {} is missing from the ledger", expected));
        }
        const auto seq = row.seq;
        const auto event = doing([&] { return proven(std::move(row)); }, "reading event {}", seq);
        leaves_.push_back(event.hash);
        sink_.event(event);
        if (seq == commits_[at_].commit.last) {
            close();
        }
    }

    /// After the last event.
    CommitRow finish()
    {
        if (at_ != commits_.size()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("event {} is missing from the ledger",
                                    commits_[at_].commit.first + leaves_.size()));
        }
        return done_;
    }

    /// The commits follow each other, whatever is in them.
    void check_order() const
    {
        const auto* before = &done_.commit;
        for (const auto& [commit, chain] : commits_) {
            const bool follows = commit.no == before->no + 1 && commit.first == before->last + 1 &&
                                 commit.last >= commit.first &&
                                 commit.last - commit.first < largest_commit &&
                                 (before->no == 0 || commit.recorded >= before->recorded);
            if (!follows) {
                throw Error(
                    ErrorCode::corrupt,
                    fmt::format("commit {} does not follow commit {}", commit.no, before->no));
            }
            before = &commit;
        }
    }

private:
    void close()
    {
        const auto& row = commits_[at_];
        if (merkle_root(leaves_) != row.commit.root) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("commit {} (events {} to {}): the events do not have its root",
                                    row.commit.no,
                                    row.commit.first,
                                    row.commit.last));
        }
        if (chain_hash(done_.chain, row.commit) != row.chain) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("commit {} is not chained to the one before", row.commit.no));
        }
        sink_.commit(row);
        done_ = row;
        leaves_.clear();
        ++at_;
    }

    CommitRow done_;
    std::vector<CommitRow> commits_;
    const ProofSink& sink_;
    std::size_t at_ = 0;
    std::vector<Digest> leaves_;
};

} // namespace

CommitRow
read_proven(SharedLedger& ledger, const CommitRow& after, std::uint64_t most, const ProofSink& sink)
{
    auto commits = ledger.commits_after(after.commit.no, commits_at_once);
    if (commits.empty()) {
        return after;
    }
    Prover(after, commits, sink).check_order();
    while (commits.size() > 1 && commits.back().commit.last - after.commit.last > most) {
        commits.pop_back();
    }
    const auto first = commits.front().commit.first;
    const auto last = commits.back().commit.last;
    Prover prover(after, std::move(commits), sink);
    ledger.events(first, last, [&](SharedEvent row) { prover.take(std::move(row)); });
    return prover.finish();
}

SharedEvent shared_event(Store::Impl& store, std::uint64_t seq)
{
    const auto event = store.event_at(seq);
    auto body = canonical_json(event.body);
    SharedEvent row;
    row.hash = leaf_hash(model::canonical_event(event, body));
    if (row.hash != hash_at(store, seq)) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("event {}: its content does not have its hash", seq));
    }
    row.seq = seq;
    row.origin = event.origin;
    row.oseq = event.oseq;
    row.at = event.at;
    row.kind = event.kind;
    const bool large = body.size() >= worth_zipping;
    row.encoding = large ? zipped_json : plain_json;
    row.body = large ? zstd::compress(body) : std::move(body);
    return row;
}

} // namespace stemma::lineage
