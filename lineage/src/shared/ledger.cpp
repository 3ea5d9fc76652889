#include "ledger.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "../store/ids.hpp"

namespace stemma::lineage {

using postgres::Bytes;
using postgres::Value;

namespace {

/// A server that says nothing for so long, while it is asked, is taken for gone.
constexpr std::chrono::seconds longest_silence{30};
/// How long others may keep the ledger, as in a file.
constexpr std::chrono::minutes longest_wait_for_others{10};

constexpr const char* shared_tables = R"sql(
CREATE SCHEMA IF NOT EXISTS stemma;
CREATE TABLE stemma.meta(key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE stemma.head(one boolean PRIMARY KEY CHECK (one));
INSERT INTO stemma.head(one) VALUES (true);
CREATE TABLE stemma.event(
    seq bigint PRIMARY KEY CHECK (seq > 0),
    origin bytea NOT NULL,
    oseq bigint NOT NULL CHECK (oseq > 0),
    at bigint NOT NULL,
    kind bytea NOT NULL,
    encoding smallint NOT NULL,
    body bytea NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32));
ALTER TABLE stemma.event ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX event_by_origin ON stemma.event(sha256(origin), oseq);
CREATE TABLE stemma.commits(
    no bigint PRIMARY KEY CHECK (no > 0),
    first bigint NOT NULL UNIQUE,
    last bigint NOT NULL CHECK (last >= first),
    recorded bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    chain bytea NOT NULL CHECK (octet_length(chain) = 32));
CREATE FUNCTION stemma.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('stemma.pruning', true) = 'on' AND NEW.encoding = 2 AND NEW.body = ''
       AND (NEW.seq, NEW.origin, NEW.oseq, NEW.at, NEW.kind, NEW.hash)
         = (OLD.seq, OLD.origin, OLD.oseq, OLD.at, OLD.kind, OLD.hash) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: % of % refused', TG_OP, TG_TABLE_NAME;
END $$;
)sql";

std::string shared_triggers()
{
    std::string sql;
    for (const auto* const table : {"meta", "event", "commits"}) {
        const bool prunable = std::string_view(table) == "event";
        sql += fmt::format("CREATE TRIGGER refuse BEFORE {} ON stemma.{} FOR EACH ROW EXECUTE "
                           "FUNCTION stemma.{}();\n"
                           "CREATE TRIGGER refuse_all BEFORE TRUNCATE ON stemma.{} FOR EACH "
                           "STATEMENT EXECUTE FUNCTION stemma.refuse_any();\n",
                           "UPDATE OR DELETE",
                           table,
                           prunable ? "refuse" : "refuse_any",
                           table);
    }
    return sql;
}

constexpr const char* refuse_any = R"sql(
CREATE FUNCTION stemma.refuse_any() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % of % refused', TG_OP, TG_TABLE_NAME;
END $$;
)sql";

constexpr std::string_view select_shared_commits =
    "SELECT no, first, last, recorded, root, chain FROM stemma.commits ";

Digest digest_in(const postgres::Rows& rows, int row, int column)
{
    const auto bytes = rows.view(row, column);
    if (bytes.size() != Digest().bytes.size()) {
        throw Error(ErrorCode::corrupt, "a hash of the ledger is not 32 bytes long");
    }
    return digest_of(bytes);
}

CommitRow commit_in(const postgres::Rows& rows, int row)
{
    CommitRow found;
    found.commit.no = static_cast<std::uint64_t>(rows.integer(row, 0));
    found.commit.first = static_cast<std::uint64_t>(rows.integer(row, 1));
    found.commit.last = static_cast<std::uint64_t>(rows.integer(row, 2));
    found.commit.recorded = to_time(rows.integer(row, 3));
    found.commit.root = digest_in(rows, row, 4);
    found.chain = digest_in(rows, row, 5);
    return found;
}

std::int64_t signed_of(std::uint64_t number)
{
    return static_cast<std::int64_t>(number);
}

} // namespace

SharedLedger::SharedLedger(const std::string& url, bool create, const Clock& clock)
    : connection_(url, longest_silence)
{
    if (find()) {
        return;
    }
    if (!create) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no ledger in {}", connection_.place()),
                    "`stemma --store postgresql://… init`, or the first thing that is recorded, "
                    "makes one; --store or STEMMA_STORE name another");
    }
    create_tables(clock);
    find();
}

bool SharedLedger::find()
{
    // Not to_regclass(): within a transaction it may answer from a cache of before the lock.
    const auto known = connection_.query(
        "SELECT 1 FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = "
        "relnamespace WHERE nspname = 'stemma' AND relname = 'meta'");
    if (known.size() == 0) {
        return false;
    }
    const auto rows = connection_.query("SELECT key, value FROM stemma.meta");
    std::optional<std::uint64_t> version;
    for (int row = 0; row < rows.size(); ++row) {
        if (rows.view(row, 0) == "version") {
            version = parse_unsigned(rows.view(row, 1));
        } else if (rows.view(row, 0) == "id") {
            id_ = printable(rows.view(row, 1));
        }
    }
    if (!version || id_.empty()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("schema 'stemma' of {} is not a ledger: its table meta has no "
                                "version or no id",
                                connection_.place()),
                    "name another database with --store");
    }
    if (*version > shared_version) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("the ledger in {} was made by a newer stemma (version {}; this one "
                                "knows {})",
                                connection_.place(),
                                *version,
                                shared_version),
                    "upgrade stemma, or name another store with --store");
    }
    return true;
}

void SharedLedger::create_tables(const Clock& clock)
{
    constexpr std::int64_t makers = 0x5374656d; // "Stem"
    doing(
        [&] {
            // Two that come first at once: the second finds what the first made.
            connection_.execute(fmt::format(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({})", makers));
            if (find()) {
                connection_.roll_back();
                return;
            }
            connection_.execute(std::string(shared_tables) + refuse_any + shared_triggers());
            const auto id = make_uuid7(clock.now());
            const auto version = std::to_string(shared_version);
            const std::array<Value, 2> values = {std::string_view(id), std::string_view(version)};
            connection_.query("INSERT INTO stemma.meta(key, value) VALUES ('id', $1), "
                              "('version', $2)",
                              values);
            if (connection_.commit() == postgres::Connection::Ending::unsure) {
                throw Error(ErrorCode::remote,
                            fmt::format("{} went away", connection_.place()),
                            "do the same again: it takes what is there, or makes it");
            }
        },
        "making the ledger in {}",
        connection_.place());
}

bool SharedLedger::may_try_again() const noexcept
{
    const auto& state = connection_.last_state();
    return state == "40001" || state == "40P01"; // serialization failure, deadlock
}

std::vector<std::string> SharedLedger::unsafe_settings()
{
    const auto rows =
        connection_.query("SELECT name FROM pg_catalog.pg_settings WHERE setting = 'off' "
                          "AND name IN ('fsync', 'full_page_writes') ORDER BY name");
    std::vector<std::string> names;
    names.reserve(static_cast<std::size_t>(rows.size()));
    for (int row = 0; row < rows.size(); ++row) {
        names.push_back(printable(rows.view(row, 0)));
    }
    return names;
}

CommitRow SharedLedger::last_commit()
{
    const auto rows =
        connection_.query(fmt::format("{}ORDER BY no DESC LIMIT 1", select_shared_commits));
    return rows.size() == 0 ? CommitRow() : commit_in(rows, 0);
}

std::optional<CommitRow> SharedLedger::commit_at(std::uint64_t no)
{
    const std::array<Value, 1> values = {signed_of(no)};
    const auto rows =
        connection_.query(fmt::format("{}WHERE no = $1", select_shared_commits), values);
    return rows.size() == 0 ? std::nullopt : std::optional(commit_in(rows, 0));
}

std::vector<CommitRow> SharedLedger::commits_after(std::uint64_t no, std::size_t most)
{
    const std::array<Value, 2> values = {signed_of(no), signed_of(most)};
    const auto rows = connection_.query(
        fmt::format("{}WHERE no > $1 ORDER BY no LIMIT $2", select_shared_commits), values);
    std::vector<CommitRow> found;
    found.reserve(static_cast<std::size_t>(rows.size()));
    for (int row = 0; row < rows.size(); ++row) {
        found.push_back(commit_in(rows, row));
    }
    return found;
}

void SharedLedger::events(std::uint64_t first,
                          std::uint64_t last,
                          const std::function<void(SharedEvent)>& each)
{
    const std::array<Value, 2> values = {signed_of(first), signed_of(last)};
    connection_.each_row("SELECT seq, origin, oseq, at, kind, encoding, body, hash FROM "
                         "stemma.event WHERE seq BETWEEN $1 AND $2 ORDER BY seq",
                         values,
                         [&](const postgres::Rows& row) {
                             SharedEvent event;
                             event.seq = static_cast<std::uint64_t>(row.integer(0, 0));
                             event.origin = row.text(0, 1);
                             event.oseq = static_cast<std::uint64_t>(row.integer(0, 2));
                             event.at = to_time(row.integer(0, 3));
                             event.kind = row.text(0, 4);
                             event.encoding = row.integer(0, 5);
                             event.body = row.text(0, 6);
                             event.hash = digest_in(row, 0, 7);
                             each(std::move(event));
                         });
}

void SharedLedger::lock()
{
    // Only within the transaction, so that a pool of connections between hands nothing on. A
    // cautious setting of the server (remote_apply) stays; one that acknowledges early does not.
    // Whoever stops in the middle is ended by the server, and the ledger free again.
    constexpr const char* begin =
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '20s'; "
        "SET LOCAL idle_in_transaction_session_timeout = '5min'; "
        "SELECT set_config('synchronous_commit', 'on', true) "
        "WHERE current_setting('synchronous_commit') IN ('off', 'local'); "
        "SELECT one FROM stemma.head FOR UPDATE";
    const auto end = std::chrono::steady_clock::now() + longest_wait_for_others;
    for (;;) {
        try {
            connection_.execute(begin);
            return;
        } catch (const Error& error) {
            roll_back();
            if (error.code() != ErrorCode::conflict) {
                throw;
            }
            if (std::chrono::steady_clock::now() > end) {
                throw Error(ErrorCode::conflict,
                            fmt::format("somebody has been recording in {} for ten minutes",
                                        connection_.place()),
                            "nothing was recorded; pg_stat_activity shows who holds stemma.head");
            }
        }
    }
}

void SharedLedger::append(std::span<const SharedEvent> events, std::span<const CommitRow> commits)
{
    constexpr std::size_t enough = std::size_t{64} << 20U;
    constexpr std::int16_t columns = 8;
    while (!events.empty()) {
        postgres::CopyData data(columns);
        std::size_t size = 0;
        std::size_t count = 0;
        for (; count < events.size() && size < enough; ++count) {
            const auto& event = events[count];
            data.begin_row();
            data.put(signed_of(event.seq));
            data.put(Bytes{event.origin});
            data.put(signed_of(event.oseq));
            data.put(to_integer(event.at));
            data.put(Bytes{event.kind});
            data.put_small(static_cast<std::int16_t>(event.encoding));
            data.put(Bytes{event.body});
            data.put(Bytes{bytes_of(event.hash)});
            size += event.body.size();
        }
        connection_.copy("COPY stemma.event(seq, origin, oseq, at, kind, encoding, body, hash) "
                         "FROM STDIN (FORMAT binary)",
                         data);
        events = events.subspan(count);
    }
    for (const auto& [commit, chain] : commits) {
        const std::array<Value, 6> values = {signed_of(commit.no),
                                             signed_of(commit.first),
                                             signed_of(commit.last),
                                             to_integer(commit.recorded),
                                             Bytes{bytes_of(commit.root)},
                                             Bytes{bytes_of(chain)}};
        connection_.query("INSERT INTO stemma.commits(no, first, last, recorded, root, chain) "
                          "VALUES ($1, $2, $3, $4, $5, $6)",
                          values);
    }
}

void SharedLedger::bury(std::span<const std::uint64_t> seqs)
{
    constexpr std::size_t part = 10000; // the server answers after each
    // Everything is derived again before the transaction goes on.
    connection_.execute("SET LOCAL stemma.pruning = 'on'; "
                        "SET LOCAL idle_in_transaction_session_timeout = '2h'");
    while (!seqs.empty()) {
        const auto some = seqs.first(std::min(part, seqs.size()));
        const auto list = fmt::format("{{{}}}", fmt::join(some, ","));
        const std::array<Value, 1> values = {std::string_view(list)};
        connection_.query("UPDATE stemma.event SET encoding = 2, body = '' "
                          "WHERE seq = ANY($1::bigint[])",
                          values);
        seqs = seqs.subspan(some.size());
    }
    connection_.execute("SET LOCAL stemma.pruning = 'off'");
}

} // namespace stemma::lineage
