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
#include "torn_disk.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

/// Makes a store of version 1 of this one: without the tables and columns that version 2 brought.
void make_old(const std::string& path)
{
    sqlite::Database db(path);
    db.execute("DROP TABLE build_reach");
    db.execute("DROP TABLE inlet");
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

/// A store of version 1 that a fleet filled.
struct Old {
    explicit Old(const Fleet& fleet)
    {
        auto store = place.open();
        store->append(fleet.events);
        wanted = answers(*store, fleet);
        chain = checkpoint_of(*store).chain;
        store.reset();
        make_old(place.path);
    }

    void check_migrated(const std::string& path, const Fleet& fleet)
    {
        auto store = Store::open(path, Store::Mode::write, place.clock, place.log);
        CHECK(version_of(path) == 2);
        CHECK(checkpoint_of(*store).chain == chain);
        CHECK(answers(*store, fleet) == wanted);
        CHECK(verify(*store, thorough).findings.empty());
    }

    Place place;
    std::string wanted;
    Digest chain;
};

} // namespace

TEST_CASE("a store of version 1 answers the same after it became one of version 2")
{
    const Fleet fleet(41);
    Old old(fleet);
    const auto refused = error_of([&] { old.place.open(Store::Mode::read); });
    REQUIRE(refused);
    CHECK(refused->code() == ErrorCode::unsupported);
    CHECK(version_of(old.place.path) == 1);
    old.check_migrated(old.place.path, fleet);
}

TEST_CASE("a migration that loses power at any write reopens as one version or the other",
          "[faults]")
{
    const Fleet fleet(42);
    Old old(fleet);
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
        CHECK((version == 1 || version == 2));
        old.check_migrated(left.path, fleet);
    }
    CHECK(losses == rounds(12));
}

TEST_CASE("a migration that is killed reopens as one version or the other", "[faults]")
{
    const Fleet fleet(43);
    Old old(fleet);
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
        CHECK((version == 1 || version == 2));
        old.check_migrated(copy.path, fleet);
    }
}
