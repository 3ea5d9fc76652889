#include "stemma/core/file.hpp"
#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>

#include "checked_pages.hpp"

using namespace stemma;
using stemma::support::error_of;

namespace {

/// A database with small rows, rows over many pages, an index, and pages that are free again.
void fill(sqlite::Database& db)
{
    db.use_wal();
    db.execute("CREATE TABLE small(a INTEGER PRIMARY KEY, b TEXT);"
               "CREATE INDEX by_b ON small(b);"
               "CREATE TABLE large(a BLOB);"
               "CREATE TABLE gone(a BLOB);"
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
               "INSERT INTO small SELECT i, 'text ' || i FROM n;"
               "INSERT INTO large VALUES (randomblob(30000));"
               "INSERT INTO gone VALUES (randomblob(60000));"
               "PRAGMA wal_checkpoint(TRUNCATE);"
               "DELETE FROM gone;"
               "PRAGMA wal_checkpoint(TRUNCATE)");
}

void flip(const std::filesystem::path& path, std::size_t byte, unsigned bit)
{
    auto bytes = read_file(path);
    bytes[byte] = static_cast<char>(static_cast<unsigned char>(bytes[byte]) ^ (1U << bit));
    write_file(path, bytes);
}

struct Place {
    TemporaryFolder folder{"stemma-pages"};
    std::string path = folder.path() / "some.db";
};

} // namespace

TEST_CASE("the checksum of a page is the one of SQLite's extension cksumvfs")
{
    std::array<unsigned char, 512> page{};
    for (std::size_t i = 0; i < page.size(); ++i) {
        page[i] = static_cast<unsigned char>((i * 7 + 3) % 256);
    }
    // Reckoned by another program from the extension's documentation.
    CHECK(sqlite::page_checksum(page) == 0x10d0c704200ccefcULL);
    page[511] = 0;
    CHECK(sqlite::page_checksum(page) == 0x10d0c704200ccefcULL); // not of itself
}

TEST_CASE("a flipped bit is found wherever in the file it is")
{
    Place place;
    {
        sqlite::Database db(place.path, {.create = true, .vfs = {}});
        fill(db);
        CHECK(db.has_page_checksums());
        CHECK(db.damaged_pages().empty());
        CHECK(db.integer("PRAGMA freelist_count") > 5);
    }
    const auto whole = read_file(place.path);
    std::mt19937_64 random(7);
    std::size_t found = 0;
    constexpr std::size_t tries = 60;
    for (std::size_t i = 0; i < tries; ++i) {
        flip(place.path, 100 + random() % (whole.size() - 100), random() % 8);
        const auto error = error_of([&] {
            sqlite::Database db(place.path);
            found += db.damaged_pages().size() == 1 ? 1U : 0U;
        });
        found += error && error->code() == ErrorCode::corrupt ? 1U : 0U;
        write_file(place.path, whole);
    }
    CHECK(found == tries);
}

TEST_CASE("a damaged page is refused when it is read, and not before")
{
    Place place;
    {
        sqlite::Database db(place.path, {.create = true, .vfs = {}});
        fill(db);
    }
    const auto bytes = read_file(place.path);
    const auto at = bytes.find("text 250");
    REQUIRE(at != std::string::npos);
    flip(place.path, at + 6, 0);
    sqlite::Database db(place.path);
    CHECK(db.integer("SELECT length(a) FROM large") == 30000);
    const auto error = error_of([&] { (void)db.integer("SELECT sum(length(b)) FROM small"); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::corrupt);
    CHECK(error->message().find("checksum") != std::string::npos);
}

TEST_CASE("a file of before there were checksums is read and written, and compacting gives them")
{
    Place place;
    {
        sqlite::Database old(place.path, {.create = true, .vfs = "unix"});
        fill(old);
        CHECK(!old.has_page_checksums());
    }
    sqlite::Database db(place.path);
    CHECK(!db.has_page_checksums());
    db.execute("INSERT INTO small VALUES (1000, 'new')");
    CHECK(db.integer("SELECT count(*) FROM small") == 501);
    const auto before = std::filesystem::file_size(place.path);
    db.compact();
    CHECK(db.has_page_checksums());
    CHECK(std::filesystem::file_size(place.path) < before);
    CHECK(db.integer("SELECT count(*) FROM small") == 501);
    CHECK(db.damaged_pages().empty());
    CHECK(db.integrity_findings().empty());
}

TEST_CASE("a copy has checksums as well, and other programs read the file")
{
    Place place;
    const std::string copy = place.folder.path() / "copy.db";
    sqlite::Database db(place.path, {.create = true, .vfs = {}});
    fill(db);
    db.backup_to(copy);
    sqlite::Database copied(copy);
    CHECK(copied.has_page_checksums());
    CHECK(copied.damaged_pages().empty());
    sqlite::Database plain(copy, {.vfs = "unix"}); // without anything of ours
    CHECK(plain.integer("SELECT sum(a) FROM small") == 125250);
    CHECK(plain.integrity_findings().empty());
}

TEST_CASE("what another program copied out of a log that a dead process left is read, and counted")
{
    Place place;
    const auto folder = place.folder.path() / "left";
    const std::string left = folder / "some.db";
    std::filesystem::create_directory(folder);
    {
        sqlite::Database db(place.path, {.create = true, .vfs = {}});
        fill(db);
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)");
        db.execute("UPDATE small SET b = 'changed' WHERE a % 2 = 0");
        db.execute("CREATE TABLE later(a); INSERT INTO later VALUES (zeroblob(100000))");
        // As they lie when a process is killed here.
        std::filesystem::copy_file(place.path, left);
        std::filesystem::copy_file(place.path + "-wal", left + "-wal");
    }
    {
        sqlite::Database plain(left, {.vfs = "unix"}); // the last one to close it: it checkpoints
        CHECK(plain.integer("SELECT count(*) FROM small WHERE b = 'changed'") == 250);
    }
    REQUIRE(!std::filesystem::exists(left + "-wal"));
    {
        sqlite::Database db(left);
        CHECK(db.integer("SELECT count(*) FROM small WHERE b = 'changed'") == 250);
        CHECK(db.integer("SELECT length(a) FROM later") == 100000);
        CHECK(db.damaged_pages().empty());
        CHECK(db.look_at_pages().unchecked > 20);
        CHECK(db.integrity_findings().empty());
        db.compact();
        CHECK(db.look_at_pages().unchecked == 0);
        CHECK(db.damaged_pages().empty());
    }
    // What has its checksum is watched as before.
    flip(left, std::filesystem::file_size(left) / 2, 3);
    sqlite::Database db(left);
    CHECK(db.damaged_pages().size() == 1);
}
