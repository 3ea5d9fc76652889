#include "stemma/lineage/ledger.hpp"
#include "stemma/lineage/query.hpp"
#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "ask.hpp"
#include "fleet.hpp"
#include "store/impl.hpp"
#include "store/schema.hpp"
#include "torn_disk.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

/// Makes a store of version 2 of this one: with the bodies of its events as JSON.
void make_version_2(Place& place)
{
    auto store = place.open();
    sqlite::Database db(place.path);
    db.execute("DROP TRIGGER event_refuses_UPDATE");
    auto change = db.prepare("UPDATE event SET encoding = 0, body = ?2 WHERE seq = ?1");
    std::vector<std::string> bodies; // all before the first change: they rest on each other
    for (std::uint64_t seq = 1; seq <= store->last_seq(); ++seq) {
        bodies.push_back(canonical_json(store->impl().event_at(seq).body));
    }
    for (std::size_t i = 0; i < bodies.size(); ++i) {
        change.bind(i + 1, sqlite::Blob{bodies[i]}).run();
    }
    db.execute("CREATE TRIGGER event_refuses_UPDATE BEFORE UPDATE ON event BEGIN "
               "SELECT RAISE(ABORT, 'refused'); END");
    db.execute("DROP TABLE word; DROP TABLE keyframe; PRAGMA user_version = 2");
}

/// And one of version 1: without the tables and columns that version 2 brought.
void make_version_1(Place& place)
{
    make_version_2(place);
    sqlite::Database db(place.path);
    db.execute("DROP TABLE build_reach");
    db.execute("DROP TABLE inlet");
    db.execute("DROP VIEW file_use");
    db.execute("ALTER TABLE build_file DROP COLUMN role");
    db.execute("ALTER TABLE version DROP COLUMN first");
    db.execute("ALTER TABLE content DROP COLUMN uses");
    db.execute("DROP INDEX vm_span_of_now");
    db.execute("PRAGMA user_version = 1");
}

std::string answers(Store& store, const Fleet& fleet)
{
    Query query(store, {});
    std::string text;
    for (const auto& vm : fleet.vms()) {
        text += query.items(query.upstream(select(query, "vm:" + vm))).dump();
    }
    return text;
}

std::int64_t version_of(const std::string& path)
{
    return sqlite::Database(path).integer("PRAGMA user_version");
}

/// A store of an older version that a fleet filled.
struct Old {
    Old(const Fleet& fleet, void (*make_old)(Place&))
    {
        auto store = place.open();
        store->append(fleet.events);
        wanted = answers(*store, fleet);
        chain = checkpoint_of(*store).chain;
        store.reset();
        make_old(place);
        old_version = version_of(place.path);
    }

    void check_migrated(const std::string& path, const Fleet& fleet)
    {
        auto store = Store::open(path, Store::Mode::write, place.clock, place.log);
        CHECK(version_of(path) == schema_version);
        CHECK(checkpoint_of(*store).chain == chain);
        CHECK(answers(*store, fleet) == wanted);
        CHECK(verify(*store, thorough).findings.empty());
    }

    Place place;
    std::string wanted;
    Digest chain;
    std::int64_t old_version = 0;
};

} // namespace

TEST_CASE("a store of an older version answers the same after it became one of this version")
{
    const Fleet fleet(41);
    for (auto* const make_old : {make_version_1, make_version_2}) {
        Old old(fleet, make_old);
        INFO("version " << old.old_version);
        const auto refused = error_of([&] { old.place.open(Store::Mode::read); });
        REQUIRE(refused);
        CHECK(refused->code() == ErrorCode::unsupported);
        CHECK(version_of(old.place.path) == old.old_version);
        old.check_migrated(old.place.path, fleet);
    }
}

TEST_CASE("a store that was of an older version takes new facts, and knows the old ones again")
{
    const Fleet fleet(44);
    Old old(fleet, make_version_2);
    auto store = old.place.open();
    CHECK(store->append(fleet.events).duplicates == fleet.events.size());
    const Fleet more(45);
    std::vector<model::Event> others = more.events;
    for (auto& event : others) {
        event.origin += "-others";
    }
    store->append(others);
    CHECK(verify(*store, thorough).findings.empty());
    const auto before = sizes(*store, at(0));
    const auto answered = answers(*store, fleet);
    compact(*store);
    CHECK(sizes(*store, at(0)).events.bytes < before.events.bytes);
    CHECK(verify(*store, thorough).findings.empty());
    CHECK((answers(*store, fleet) == answered));
}

TEST_CASE("a migration that loses power at any write reopens as one version or the other",
          "[faults]")
{
    const Fleet fleet(42);
    Old old(fleet, make_version_2);
    const auto migrate_at = [&](std::uint64_t write, std::uint64_t seed, Place& left) {
        Place copy;
        std::filesystem::copy_file(old.place.path, copy.path);
        bool lost = false;
        TornDisk disk({write, seed, left.folder.path(), [&] { lost = true; }});
        copy.open();
        return std::pair(disk.writes(), lost);
    };
    Place whole;
    const auto [writes, never] = migrate_at(0, 0, whole);
    REQUIRE(writes > 20);
    std::size_t losses = 0;
    for (std::uint64_t round = 0; round < rounds(12); ++round) {
        const auto write = 1 + round * writes / rounds(12);
        INFO("write " << write);
        Place left;
        losses += migrate_at(write, round * 3 + 1, left).second ? 1U : 0U;
        const auto version = version_of(left.path);
        CHECK((version == old.old_version || version == schema_version));
        old.check_migrated(left.path, fleet);
    }
    CHECK(losses == rounds(12));
}

TEST_CASE("a migration that is killed reopens as one version or the other", "[faults]")
{
    const Fleet fleet(43);
    Old old(fleet, make_version_2);
    for (std::uint64_t round = 0; round < rounds(8); ++round) {
        Place copy;
        std::filesystem::copy_file(old.place.path, copy.path);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            copy.open();
            ::kill(::getpid(), SIGKILL);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5 * round % 83));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        const auto version = version_of(copy.path);
        CHECK((version == old.old_version || version == schema_version));
        old.check_migrated(copy.path, fleet);
    }
}
