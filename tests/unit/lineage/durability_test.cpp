#include "stemma/lineage/ledger.hpp"
#include "stemma/lineage/query.hpp"
#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "fleet.hpp"
#include "torn_disk.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

const Verification plain{false, std::nullopt, nullptr, nullptr};

/// Appends a fleet's events one commit at a time, and counts what was acknowledged, until the end
/// or until `ended`.
void append_one_by_one(const std::string& path,
                       const Fleet& fleet,
                       std::uint64_t& acknowledged,
                       const bool& ended)
{
    support::FakeClock clock;
    NullLog log;
    auto store = Store::open(path, Store::Mode::write, clock, log);
    for (std::size_t i = 0; i < fleet.events.size() && !ended; i += 3) {
        const auto count = std::min<std::size_t>(3, fleet.events.size() - i);
        acknowledged = store->append(std::span(fleet.events).subspan(i, count)).last_seq;
    }
}

} // namespace

TEST_CASE("no acknowledged event is lost when the power goes at any write", "[faults]")
{
    const Fleet fleet(21);
    std::uint64_t total = 0;
    {
        Place place;
        TornDisk disk({0, 0, place.folder.path(), [] {}});
        std::uint64_t acknowledged = 0;
        append_one_by_one(place.path, fleet, acknowledged, false);
        total = disk.writes();
    }
    REQUIRE(total > 100);
    std::size_t losses = 0;
    for (std::uint64_t round = 0; round < rounds(40); ++round) {
        const auto write = 1 + round * total / rounds(40);
        Place place;
        Place left;
        bool lost = false;
        std::uint64_t acknowledged = 0;
        std::uint64_t acknowledged_then = 0;
        {
            TornDisk disk({write, round * 7 + 1, left.folder.path(), [&] {
                               acknowledged_then = acknowledged;
                               lost = true;
                           }});
            append_one_by_one(place.path, fleet, acknowledged, lost);
        }
        losses += lost ? 1U : 0U;
        INFO("write " << write << ", round " << round);
        auto store = left.open();
        CHECK(store->last_seq() >= acknowledged_then);
        CHECK(verify(*store, thorough).findings.empty());
    }
    CHECK(losses == rounds(40));
}

TEST_CASE("no acknowledged event is lost when the writer is killed", "[faults]")
{
    const Fleet fleet(22);
    for (std::uint64_t round = 0; round < rounds(40); ++round) {
        Place place;
        auto ends = make_pipe();
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            try {
                auto store = place.open();
                for (std::size_t i = 0; i < fleet.events.size(); ++i) {
                    const std::uint64_t last =
                        store->append(std::span(fleet.events).subspan(i, 1)).last_seq;
                    if (::write(ends.write_end.get(), &last, sizeof last) != sizeof last) {
                        break;
                    }
                }
            } catch (...) { // NOLINT(bugprone-empty-catch): the parent finds out
            }
            ::kill(::getpid(), SIGKILL);
        }
        ends.write_end.reset();
        std::this_thread::sleep_for(std::chrono::milliseconds(3 + 37 * round % 149));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        std::uint64_t acknowledged = 0;
        while (::read(ends.read_end.get(), &acknowledged, sizeof acknowledged) ==
               sizeof acknowledged) {
        }
        auto store = place.open();
        INFO("round " << round);
        CHECK(store->last_seq() >= acknowledged);
        CHECK(verify(*store, thorough).findings.empty());
    }
}

TEST_CASE("a full disk is said, keeps nothing of the commit, and is over when there is room")
{
    const Fleet fleet(23);
    for (std::uint64_t room = 0; room < 2'000'000; room += 130'000) {
        Place place;
        place.open();
        TornDisk disk({0, 0, place.folder.path(), [] {}});
        auto store = place.open();
        std::uint64_t acknowledged = 0;
        disk.set_room(room);
        const auto error = error_of([&] {
            for (const auto& event : fleet.events) {
                acknowledged = store->append(std::span(&event, 1)).last_seq;
            }
        });
        INFO("room for " << room << " bytes");
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::io);
        CHECK(error->message().find("no space left") != std::string::npos);
        CHECK(store->last_seq() == acknowledged);
        CHECK(error_of([&] { store->append(fleet.events); })); // still full
        disk.set_room(~0ULL);
        CHECK(store->append(fleet.events).fresh == fleet.events.size() - acknowledged);
        CHECK(verify(*store, thorough).findings.empty());
    }
}

namespace {

/// Every row of every table, as one digest; what a reader could see.
Digest everything_in(const std::string& path)
{
    sqlite::Database db(path);
    std::vector<std::string> tables;
    auto names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    while (names.step()) {
        tables.push_back(names.text(0));
    }
    Sha256 all;
    for (const auto& table : tables) {
        auto columns = db.prepare(
            "SELECT group_concat('quote(\"' || name || '\")', ' || ') FROM pragma_table_info(?)");
        columns.bind(table).step();
        auto rows =
            db.prepare(fmt::format("SELECT {} FROM {} NOT INDEXED", columns.view(0), table));
        while (rows.step()) {
            all.update(table).update(rows.view(0));
        }
    }
    return all.finish();
}

} // namespace

TEST_CASE("a flipped bit is found wherever it is, and what reads wrongly is never taken for right",
          "[faults]")
{
    const Fleet fleet(24);
    Place place;
    {
        auto store = place.open();
        store->append(fleet.events);
        sqlite::Database(place.path).execute("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    const auto whole = read_file(place.path);
    const auto wanted = everything_in(place.path);
    std::mt19937_64 random(1);
    std::uint64_t unseen = 0;
    for (std::uint64_t i = 0; i < rounds(40); ++i) {
        auto damaged = whole;
        const auto at = random() % damaged.size();
        damaged[at] =
            static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ (1U << (random() % 8)));
        Place copy;
        write_file(copy.path, damaged);
        bool differs = false;
        differs =
            error_of([&] { differs = everything_in(copy.path) != wanted; }).has_value() || differs;
        bool found = false;
        found = error_of([&] {
                    found = !verify(*copy.open(Store::Mode::read), thorough).findings.empty();
                }).has_value() ||
                found;
        INFO("bit in byte " << at);
        CHECK((found || !differs));
        unseen += found ? 0U : 1U;
    }
    CHECK(unseen * 100 <= rounds(40));
}

TEST_CASE("a ledger whose end was cut off or rewritten does not match its checkpoint")
{
    const Fleet fleet(25);
    Place place;
    auto store = place.open();
    store->append(std::span(fleet.events).first(10));
    store->append(std::span(fleet.events).subspan(10));
    Verification against = plain;
    against.against = checkpoint_from_json(
        parse_json(canonical_json(to_json(checkpoint_of(*store))), "checkpoint"));
    CHECK(verify(*store, against).findings.empty());

    Place cut;
    auto shorter = cut.open();
    shorter->append(std::span(fleet.events).first(10));
    CHECK(verify(*shorter, plain).findings.empty());
    CHECK(!verify(*shorter, against).findings.empty());
    shorter->append(std::span(fleet.events).subspan(11)); // one event is left out
    CHECK(verify(*shorter, plain).findings.empty());
    CHECK(!verify(*shorter, against).findings.empty());
}

TEST_CASE("an event that was edited behind the ledger's back is found")
{
    const Fleet fleet(26);
    Place place;
    {
        place.open()->append(fleet.events);
        sqlite::Database db(place.path);
        db.execute("DROP TRIGGER event_refuses_UPDATE");
        db.execute("UPDATE event SET at = at + 1 WHERE seq = 7");
    }
    auto store = place.open(Store::Mode::read);
    CHECK(verify(*store, plain).findings.size() >= 2);
}

TEST_CASE("a derived row that the ledger does not explain is found, and rebuilding removes it")
{
    const Fleet fleet(27);
    Place place;
    auto store = place.open();
    store->append(fleet.events);
    sqlite::Database(place.path).execute("UPDATE vm_span SET state = 'lost' WHERE vm = 1");
    sqlite::Database(place.path).execute("DELETE FROM payload");
    CHECK(verify(*store, plain).findings.empty());
    const auto findings = verify(*store, thorough).findings;
    REQUIRE(findings.size() == 2);
    CHECK(findings[0].find("table payload: 0 rows") != std::string::npos);
    CHECK(findings[1].find("table vm_span") != std::string::npos);
    CHECK(rebuild(*store) == fleet.events.size());
    CHECK(verify(*store, thorough).findings.empty());
}

TEST_CASE("a copy of the store answers as the store does")
{
    const Fleet fleet(28);
    Place place;
    auto store = place.open();
    store->append(fleet.events);
    const std::string copy = place.folder.path() / "copy.db";
    backup(*store, copy);
    auto copied = Store::open(copy, Store::Mode::read, place.clock, place.log);
    CHECK(verify(*copied, thorough).findings.empty());
    CHECK(checkpoint_of(*copied).chain == checkpoint_of(*store).chain);
    CHECK(error_of([&] { backup(*store, copy); })->code() == ErrorCode::conflict);
}

TEST_CASE("many writers at once lose nothing and none is turned away")
{
    Place place;
    place.open();
    constexpr int writers = 6;
    constexpr std::uint64_t events = 15;
    std::vector<pid_t> children;
    for (int i = 0; i < writers; ++i) {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            int code = 1;
            try {
                auto store = place.open();
                for (std::uint64_t n = 1; n <= events; ++n) {
                    store->append(std::vector{said(fmt::format("writer-{}", i),
                                                   n,
                                                   image(1, "a", fmt::format("{}-{}", i, n)))});
                }
                code = 0;
            } catch (...) { // NOLINT(bugprone-empty-catch): the code tells
            }
            ::_exit(code);
        }
        children.push_back(child);
    }
    for (const auto child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
    auto store = place.open();
    CHECK(store->last_seq() == writers * events);
    CHECK(verify(*store, thorough).findings.empty());
}
