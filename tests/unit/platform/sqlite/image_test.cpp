#include "stemma/core/file.hpp"
#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace stemma;

namespace {

/// A database whose last transactions are in the log alone, as a machine that is looked at while it
/// runs has it.
struct Running {
    TemporaryFolder folder{"stemma-image"};
    std::string path = folder.path() / "some.db";
    sqlite::Image image;

    explicit Running(int in_log)
    {
        sqlite::Options options;
        options.create = true;
        sqlite::Database writer(path, options);
        writer.use_wal();
        writer.execute("CREATE TABLE facts(a INTEGER, b BLOB);"
                       "INSERT INTO facts VALUES (0, zeroblob(9000));"
                       "PRAGMA wal_checkpoint(TRUNCATE)");
        for (int i = 1; i <= in_log; ++i) {
            writer.execute(fmt::format("INSERT INTO facts VALUES ({}, zeroblob(9000))", i));
        }
        image = {"/some.db", read_file(path), in_log > 0 ? read_file(path + "-wal") : ""};
    }
};

std::int64_t facts_in(const sqlite::Image& image)
{
    sqlite::Database database(image);
    CHECK(database.integrity_findings().empty());
    return database.integer("SELECT count(*) FROM facts");
}

} // namespace

TEST_CASE("an image in memory says what its file and the log beside it say")
{
    CHECK(facts_in(Running(0).image) == 1);
    const Running running(5);
    CHECK(facts_in(running.image) == 6);
    CHECK(facts_in({"/some.db", running.image.bytes}) == 1);
}

TEST_CASE("a log that is cut anywhere gives the transactions in front of the cut, whole")
{
    const Running running(3);
    std::int64_t before = 1;
    for (std::size_t size = 0; size <= running.image.log.size(); size += 509) {
        auto cut = running.image;
        cut.log.resize(size);
        const auto now = facts_in(cut);
        CHECK(now >= before);
        before = now;
    }
    CHECK(facts_in(running.image) == 4);
}

TEST_CASE("a frame that was changed ends the log; what came before it counts")
{
    const Running running(3);
    auto changed = running.image;
    changed.log[changed.log.size() - 100] ^= 1;
    CHECK(facts_in(changed) == 3);
    changed.log[40] ^= 1; // the header of the first frame
    CHECK(facts_in(changed) == 1);
}

TEST_CASE("nothing that somebody wrote into an image or its log does more than fail")
{
    const Running running(3);
    std::mt19937 random(7);
    for (int round = 0; round < 500; ++round) {
        auto bad = running.image;
        for (int change = 0; change < 8; ++change) {
            auto& place = random() % 4 == 0 ? bad.log : bad.bytes;
            place[random() % (random() % 2 == 0 ? 200 : place.size())] =
                static_cast<char>(random());
        }
        bad.bytes.resize(bad.bytes.size() - random() % 2 * (random() % bad.bytes.size()));
        try {
            sqlite::Database database(std::move(bad));
            auto rows = database.prepare("SELECT a, b FROM facts");
            while (rows.step()) {
                CHECK(rows.view(1).size() <= running.image.bytes.size());
            }
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): refused is as good as read
        }
    }
    CHECK_THROWS_AS(sqlite::Database(sqlite::Image{"/x", "no database", ""}), Error);
}
