#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/lineage/ledger.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "../shared/store.hpp"
#include "../store/ids.hpp"
#include "../store/impl.hpp"
#include "../store/migrate.hpp"
#include "../store/schema.hpp"
#include "merkle.hpp"
#include "rederive.hpp"
#include "rows.hpp"
#include "tombstones.hpp"

namespace stemma::lineage {

namespace {

constexpr std::string_view checkpoint_schema = "stemma.checkpoint/1";

} // namespace

Json to_json(const Checkpoint& checkpoint)
{
    return {{"schema", checkpoint_schema},
            {"origin", checkpoint.origin},
            {"commit", checkpoint.commit},
            {"seq", checkpoint.seq},
            {"root", checkpoint.root.hex()},
            {"chain", checkpoint.chain.hex()},
            {"recorded", format_time(checkpoint.recorded)}};
}

Checkpoint checkpoint_from_json(const Json& json)
{
    const auto schema = string_member(json, "schema");
    if (schema != checkpoint_schema) {
        throw Error(schema.starts_with("stemma.checkpoint/") ? ErrorCode::unsupported
                                                             : ErrorCode::corrupt,
                    fmt::format("schema '{}' is not '{}'", schema, checkpoint_schema));
    }
    Checkpoint checkpoint;
    checkpoint.origin = string_member(json, "origin");
    checkpoint.commit = static_cast<std::uint64_t>(integer_member(json, "commit"));
    checkpoint.seq = static_cast<std::uint64_t>(integer_member(json, "seq"));
    checkpoint.root = digest_member(json, "root");
    checkpoint.chain = digest_member(json, "chain");
    checkpoint.recorded = parse_time(string_member(json, "recorded"));
    return checkpoint;
}

namespace {

Checkpoint checkpoint_at(const CommitRow& row, const std::string& origin)
{
    return {
        origin, row.commit.no, row.commit.last, row.commit.root, row.chain, row.commit.recorded};
}

} // namespace

Checkpoint checkpoint_of(Store& store)
{
    auto& impl = store.impl();
    Checkpoint checkpoint;
    checkpoint.origin = impl.origin;
    if (const auto last = last_commit(impl.db); last.commit.no != 0) {
        checkpoint = checkpoint_at(last, impl.origin);
    }
    return checkpoint;
}

namespace {

/// More findings than this tell nobody anything new.
constexpr std::size_t most_findings = 100;

class Verifier {
public:
    Verifier(Store::Impl& store, const Verification& wanted, VerifyReport& report)
        : store_(store), wanted_(wanted), report_(report)
    {
    }

    void run()
    {
        check_pages();
        for (auto& finding : store_.db.integrity_findings()) {
            find("database: " + finding);
        }
        auto commits = store_.db.prepare(fmt::format("{}ORDER BY no", commit_columns));
        bool more = commits.step(); // from here on all that is read is of one moment
        report_.events =
            static_cast<std::uint64_t>(store_.db.integer("SELECT count(*) FROM event"));
        Progress quiet(ProgressMode::none);
        Activity activity(wanted_.progress != nullptr ? *wanted_.progress : quiet,
                          "verifying the ledger",
                          report_.events,
                          "events");
        for (; more; more = commits.step()) {
            check(commit_of(commits), activity);
        }
        for (auto& finding : tombstone_findings(store_)) {
            find(std::move(finding));
        }
        if (next_ != report_.events + 1) {
            find(fmt::format(
                "the commits cover {} events, the ledger has {}", next_ - 1, report_.events));
        }
        if (wanted_.against && wanted_.against->commit != 0 && !met_checkpoint_) {
            find(fmt::format("the checkpoint is of commit {}, the ledger ends at {}: its end was "
                             "cut off, or it is another ledger",
                             wanted_.against->commit,
                             report_.commits));
        }
    }

private:
    void find(std::string finding)
    {
        if (report_.findings.size() < most_findings) {
            report_.findings.push_back(std::move(finding));
        }
    }

    /// Every byte of the file, also those that nothing uses.
    void check_pages()
    {
        const auto looked = store_.db.look_at_pages();
        report_.unchecked_pages = looked.unchecked;
        for (const auto page : looked.damaged) {
            find(fmt::format("page {} of the file does not have its checksum", page));
        }
        if (store_.meta(page_checksums_key) && !store_.db.has_page_checksums()) {
            find("the first page of the file does not say that pages have checksums");
        }
    }

    void check(const CommitRow& row, Activity& activity)
    {
        const auto& commit = row.commit;
        ++report_.commits;
        if (commit.no != report_.commits || commit.first != next_ || commit.last < commit.first) {
            find(fmt::format("commit {} does not follow the one before", commit.no));
        }
        std::vector<Digest> leaves;
        for (auto seq = commit.first; seq <= commit.last && report_.findings.size() < most_findings;
             ++seq) {
            if (wanted_.cancel != nullptr) {
                wanted_.cancel->check();
            }
            leaves.push_back(leaf(seq));
            activity.advance();
        }
        if (merkle_root(leaves) != commit.root) {
            find(fmt::format("commit {} (events {} to {}): the events do not have its root",
                             commit.no,
                             commit.first,
                             commit.last));
        }
        if (chain_hash(chain_, commit) != row.chain) {
            find(fmt::format("commit {}: it is not chained to the one before", commit.no));
        }
        chain_ = row.chain;
        next_ = commit.last + 1;
        report_.head = checkpoint_at(row, store_.origin);
        if (wanted_.against && wanted_.against->commit == commit.no) {
            met_checkpoint_ = true;
            if (wanted_.against->chain != row.chain) {
                find(fmt::format(
                    "commit {} is not the one of the checkpoint: the ledger was rewritten",
                    commit.no));
            }
        }
    }

    /// The hash that the event has by its content; a finding when its row says another. Of a pruned
    /// one only the hash is left, and the root tells whether it is the one that was committed.
    Digest leaf(std::uint64_t seq)
    {
        try {
            if (store_.is_pruned(seq)) {
                ++report_.pruned;
                return hash_at(store_, seq);
            }
            const Digest real = leaf_hash(model::canonical_event(store_.event_at(seq)));
            auto& row = store_.db.cached("SELECT hash FROM event WHERE seq = ?");
            row.bind(seq);
            if (!row.step() || row.view(0) != bytes_of(real)) {
                find(fmt::format("event {}: its content does not have its hash", seq));
            }
            row.reset();
            return real;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            find(fmt::format("event {}: {}", seq, error.message()));
            return {};
        }
    }

    Store::Impl& store_;
    const Verification& wanted_;
    VerifyReport& report_;
    std::uint64_t next_ = 1;
    Digest chain_;
    bool met_checkpoint_ = false;
};

std::vector<Gap> origin_gaps(sqlite::Database& db)
{
    std::vector<Gap> gaps;
    auto rows = db.prepare(
        "SELECT origin.name, count(*), max(oseq) FROM event JOIN origin ON origin.id = "
        "event.origin GROUP BY origin.id HAVING count(*) < max(oseq) ORDER BY origin.name");
    while (rows.step()) {
        gaps.push_back({fmt::format("origin {}", rows.view(0)),
                        fmt::format("{} of its {} events have not arrived",
                                    rows.integer(2) - rows.integer(1),
                                    rows.integer(2))});
    }
    return gaps;
}

} // namespace

VerifyReport verify(Store& store, const Verification& wanted)
{
    VerifyReport report;
    report.head.origin = store.origin();
    try {
        Verifier(store.impl(), wanted, report).run();
        report.gaps = origin_gaps(store.impl().db);
        auto& impl = store.impl();
        if (auto gap = impl.shared ? impl.shared->gap(impl) : std::nullopt) {
            report.gaps.push_back(*std::move(gap));
        } else if (impl.shared && report.findings.empty()) {
            report.findings = impl.shared->findings(impl, wanted);
        }
        if (wanted.rebuild && report.findings.empty()) {
            report.findings = rederivation_findings(store, wanted);
        }
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt) {
            throw;
        }
        report.findings.push_back(error.one_line());
    }
    return report;
}

void backup(Store& store, const std::string& path)
{
    if (std::filesystem::exists(path)) {
        throw Error(ErrorCode::conflict, fmt::format("{} exists already", path), "name a new file");
    }
    const auto folder = std::filesystem::absolute(path).parent_path();
    const TemporaryFolder beside(".stemma-backup", folder);
    const std::string part = beside.path() / "part";
    store.impl().db.backup_to(part);
    {
        const Fd fd = open_file(part, O_RDONLY);
        if (::fsync(fd.get()) != 0) {
            throw system_error(errno, fmt::format("flush {}", path));
        }
    }
    std::filesystem::rename(part, path);
    sync_folder(folder);
}

std::uint64_t rebuild(Store& store, Progress* progress, const Cancel* cancel)
{
    sqlite::Transaction transaction(store.impl().db);
    const auto events = derive_all(store.impl(), progress, cancel);
    transaction.commit();
    return events;
}

} // namespace stemma::lineage
