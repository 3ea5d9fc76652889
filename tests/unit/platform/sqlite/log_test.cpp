#include "stemma/core/file.hpp"
#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <optional>

using namespace stemma;
using stemma::support::error_of;

namespace {

constexpr std::uint64_t bound = 256 << 10;

struct Place {
    TemporaryFolder folder{"stemma-log"};
    std::string path = folder.path() / "some.db";
    sqlite::Options options;
    std::optional<sqlite::Database> writer;

    Place()
    {
        options.create = true;
        options.longest_log = bound;
        options.longest_reading = std::chrono::milliseconds(1);
        writer.emplace(path, options);
        writer->use_wal();
        writer->execute("CREATE TABLE facts(a BLOB)");
    }
    void write(int times)
    {
        for (int i = 0; i < times; ++i) {
            sqlite::Transaction transaction(*writer);
            writer->execute("INSERT INTO facts VALUES (zeroblob(20000))");
            transaction.commit();
        }
    }
};

} // namespace

TEST_CASE("readers that overlap without a pause do not make the log grow")
{
    Place place;
    sqlite::Database first(place.path, place.options);
    sqlite::Database second(place.path, place.options);
    std::optional<sqlite::Transaction> one;
    std::optional<sqlite::Transaction> other;
    std::uint64_t longest = 0;
    for (int round = 0; round < 40; ++round) {
        // There is always one of them, and none of them is old.
        auto& mine = round % 2 == 0 ? one : other;
        auto& yours = round % 2 == 0 ? other : one;
        auto& db = round % 2 == 0 ? first : second;
        mine.emplace(db, sqlite::Transaction::Kind::read);
        CHECK(db.integer("SELECT count(*) FROM facts") >= 0);
        yours.reset();
        place.write(5);
        longest = std::max(longest, place.writer->log_size());
    }
    one.reset();
    other.reset();
    place.write(1);
    place.write(1);
    INFO("the log was up to " << longest);
    CHECK(place.writer->log_size() <= 2 * bound);
}

TEST_CASE("when a reader that stayed has gone, the log is brought back")
{
    Place place;
    {
        sqlite::Database reader(place.path, place.options);
        sqlite::Transaction stays(reader, sqlite::Transaction::Kind::read);
        CHECK(reader.integer("SELECT count(*) FROM facts") == 0);
        place.write(60);
        CHECK(place.writer->log_size() > 4 * bound);
        CHECK(reader.integer("SELECT count(*) FROM facts") == 0); // still sees its own past
    }
    place.write(140); // past the length at which it is tried again
    CHECK(place.writer->log_size() <= 2 * bound);
}

TEST_CASE("a reader that works in the past for too long gives up when the log has grown")
{
    Place place;
    sqlite::Database reader(place.path, place.options);
    sqlite::Transaction stays(reader, sqlite::Transaction::Kind::read);
    CHECK(reader.integer("SELECT count(*) FROM facts") == 0);
    const std::string_view endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) "
        "SELECT count(*) FROM n";
    CHECK(reader.integer(endless) == 3000000); // the log is short: nobody waits
    place.write(80);
    const auto error = error_of([&] { (void)reader.integer(endless); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::conflict);
    CHECK(error->message().find("took so long") != std::string::npos);
}

TEST_CASE("what a savepoint takes back is gone, and the rest of the transaction stays")
{
    Place place;
    {
        sqlite::Transaction transaction(*place.writer);
        place.writer->execute("INSERT INTO facts VALUES (x'01')");
        {
            sqlite::Savepoint part(*place.writer);
            place.writer->execute("INSERT INTO facts VALUES (x'02')");
        }
        {
            sqlite::Savepoint part(*place.writer);
            place.writer->execute("INSERT INTO facts VALUES (x'03')");
            part.keep();
        }
        transaction.commit();
    }
    CHECK(place.writer->integer("SELECT sum(hex(a)) FROM facts") == 4);
}

TEST_CASE("a statement that was left on a row does not keep its connection from writing")
{
    Place place;
    place.write(3);
    auto& left = place.writer->cached("SELECT a FROM facts");
    REQUIRE(left.step()); // as an exception would leave it
    sqlite::Database other(place.path, place.options);
    other.execute("INSERT INTO facts VALUES (x'01')");
    place.write(1);
    CHECK(place.writer->integer("SELECT count(*) FROM facts") == 5);
}
