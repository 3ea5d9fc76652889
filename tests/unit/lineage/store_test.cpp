#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "facts.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

TEST_CASE("reading a store that is not there says so and makes none")
{
    Place place;
    const auto error = error_of([&] { place.open(Store::Mode::read); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::not_found);
    CHECK(!std::filesystem::exists(place.path));
}

TEST_CASE("what was recorded is there after reopening")
{
    Place place;
    {
        auto store = place.open();
        store->record({at(1),
                       "host.added",
                       Json{{"name", "h1"},
                            {"uuid", "u"},
                            {"uri", "qemu:///system"},
                            {"labels", {{"rack", "7"}}}}});
        store->record(image(2, "base", "base-content"));
        store->record(deployed(3, "vm-1", "h1", "base-content"));
        const auto result = store->record(state(4, "vm-1", "h1", "running"));
        CHECK(result.fresh == 1);
        CHECK(result.last_seq == 4);
    }
    auto store = place.open(Store::Mode::read);
    CHECK(store->last_seq() == 4);
    const auto host = store->find_host("h1");
    REQUIRE(host);
    CHECK(host->uri == "qemu:///system");
    CHECK(host->labels["rack"] == "7");
    const auto found = store->find_image("base");
    REQUIRE(found);
    CHECK(found->digest == sha("base-content"));
    CHECK(store->find_image(found->digest.substr(0, 8)));
    CHECK(!store->find_image(found->digest.substr(0, 7)));
    const auto vm = store->find_vm("vm-1-name");
    REQUIRE(vm);
    CHECK(vm->host == "h1");
    CHECK(vm->image == sha("base-content"));
    CHECK(vm->state == "running");
    CHECK(store->vms().size() == 1);
}

TEST_CASE("several drafts are recorded together or not at all")
{
    Place place;
    auto store = place.open();
    const std::vector<model::EventDraft> drafts = {
        image(1, "good", "good"), {at(2), "image.created", Json{{"name", "no digest"}}}};
    const auto error = error_of([&] { store->record(drafts); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::corrupt);
    CHECK(store->last_seq() == 0);
    CHECK(store->images().empty());
}

TEST_CASE("an event that comes twice is a duplicate")
{
    Place place;
    auto store = place.open();
    const std::vector<model::Event> events = {said("o", 1, image(1, "a", "a")),
                                              said("o", 2, image(2, "b", "b"))};
    CHECK(store->append(events).fresh == 2);
    const auto again = store->append(events);
    CHECK(again.fresh == 0);
    CHECK(again.duplicates == 2);
    CHECK(again.last_seq == 2);
}

TEST_CASE("an origin that says two things under one number is refused and reported")
{
    Place place;
    auto store = place.open();
    store->append(std::vector{said("o", 1, image(1, "a", "a"))});
    const std::vector<model::Event> events = {said("o", 2, image(1, "c", "c")),
                                              said("o", 1, image(1, "b", "b"))};
    const auto error = error_of([&] { store->append(events); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::conflict);
    CHECK(store->images().size() == 1);
    CHECK(store->last_seq() == 2); // the report
}

TEST_CASE("the ledger's tables refuse every change")
{
    Place place;
    place.open()->record(image(1, "a", "a"));
    sqlite::Database db(place.path);
    for (const auto* sql : {"UPDATE event SET kind = 'x'",
                            "DELETE FROM event",
                            "INSERT OR REPLACE INTO event SELECT * FROM event",
                            "UPDATE commits SET last = 9",
                            "DELETE FROM commits",
                            "DELETE FROM meta",
                            "UPDATE word SET text = x'00'",
                            "DELETE FROM word",
                            "DELETE FROM origin"}) {
        CHECK(error_of([&] { db.execute(sql); }));
    }
    CHECK(db.integer("SELECT count(*) FROM event") == 1);
}

TEST_CASE("a store of a newer version is refused with a clear message")
{
    Place place;
    place.open();
    sqlite::Database(place.path).execute("PRAGMA user_version = 99");
    for (const auto mode : {Store::Mode::read, Store::Mode::write}) {
        const auto error = error_of([&] { place.open(mode); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::unsupported);
        CHECK(error->message().find("newer stemma") != std::string::npos);
    }
}

TEST_CASE("a disk error in the bytes of the version is damage, and no newer version")
{
    constexpr std::size_t version_at = 60; // in a database's header
    Place place;
    place.open();
    { // brings the log into the file
        sqlite::Database db(place.path);
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    const auto whole = read_file(place.path);
    for (std::size_t bit = 0; bit < 32; ++bit) {
        auto damaged = whole;
        auto& byte = damaged[version_at + bit / 8];
        byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << (bit % 8)));
        write_file(place.path, damaged);
        for (const auto mode : {Store::Mode::read, Store::Mode::write}) {
            INFO("bit " << bit);
            const auto error = error_of([&] { place.open(mode); });
            REQUIRE(error);
            CHECK(error->code() == ErrorCode::corrupt);
        }
    }
}

TEST_CASE("another program's database is refused and left as it is")
{
    Place place;
    {
        sqlite::Options options;
        options.create = true;
        sqlite::Database(place.path, options).execute("CREATE TABLE theirs(a)");
    }
    CHECK(error_of([&] { place.open(); })->code() == ErrorCode::corrupt);
    sqlite::Database db(place.path);
    CHECK(db.integer("SELECT count(*) FROM sqlite_schema") == 1);
}

TEST_CASE("a file that is no database is refused")
{
    Place place;
    write_file(place.path, std::string(5000, 'x'));
    CHECK(error_of([&] { place.open(); })->code() == ErrorCode::corrupt);
    CHECK(read_file(place.path) == std::string(5000, 'x'));
}

TEST_CASE("a retired image is listed only when asked for")
{
    Place place;
    auto store = place.open();
    store->record(image(1, "a", "a"));
    store->record(
        {at(2), "image.retired", Json{{"name", "a"}, {"digest", sha("a")}, {"reason", "old"}}});
    CHECK(store->images().empty());
    REQUIRE(store->images(true).size() == 1);
    CHECK(store->images(true)[0].retired == at(2));
}

TEST_CASE("the newest image of a name is the one that is found")
{
    Place place;
    auto store = place.open();
    store->record(image(5, "a", "new"));
    store->record(image(1, "a", "old"));
    CHECK(store->find_image("a")->digest == sha("new"));
}
