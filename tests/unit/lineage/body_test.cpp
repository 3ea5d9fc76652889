#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/lineage/ledger.hpp"
#include "stemma/model/manifest.hpp"
#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <vector>

#include "facts.hpp"
#include "ledger/body.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

constexpr std::size_t sources = 60;

model::File file(const std::string& path, const std::string& project, std::uint64_t version)
{
    model::File made;
    made.path = path;
    made.repo = project;
    made.sha256 = sha256(fmt::format("{} {} {}", project, path, version));
    made.size = 100;
    made.state = model::FileState::clean;
    return made;
}

/// A build of a project of which a few files are others in each build.
model::EventDraft build(const std::string& project, std::uint64_t number, std::size_t changed)
{
    model::Manifest manifest;
    manifest.build = {project, project, sha(project + std::to_string(number)), "main", {}, ""};
    manifest.run = {make_uuid5(stemma_uuid_space, fmt::format("{} {}", project, number)),
                    at(static_cast<std::int64_t>(number)),
                    at(static_cast<std::int64_t>(number)),
                    "machine",
                    "user",
                    "/"};
    model::Step link{model::StepKind::link, std::nullopt, {"ld"}, "", 0, "", {}, {}};
    for (model::FileIndex i = 0; i < sources; ++i) {
        const auto version = (number + i) % sources < changed ? number : 0;
        manifest.files.push_back(file(fmt::format("src/{:03}.cc", i), project, version));
        link.inputs.push_back(i);
    }
    manifest.files.push_back(file("program", project, number));
    manifest.files.back().state = model::FileState::generated;
    link.outputs = {sources};
    manifest.steps = {link};
    manifest.artifacts = {{sources, "program", model::ArtifactKind::executable, "", 0, ""}};
    model::normalise(manifest);
    return {at(static_cast<std::int64_t>(number)),
            "build.recorded",
            Json{{"manifest", model::to_json(manifest)}}};
}

std::vector<model::Event>
builds(const std::string& project, std::uint64_t count, std::size_t changed = 2)
{
    std::vector<model::Event> events;
    for (std::uint64_t number = 1; number <= count; ++number) {
        events.push_back(said(project, number, build(project, number, changed)));
    }
    return events;
}

std::vector<std::int64_t> encodings(const std::string& path)
{
    sqlite::Database db(path);
    auto rows = db.prepare("SELECT encoding FROM event ORDER BY seq");
    std::vector<std::int64_t> found;
    while (rows.step()) {
        found.push_back(rows.integer(0));
    }
    return found;
}

void check_bodies(Store& store, const std::vector<model::Event>& events)
{
    for (std::size_t i = 0; i < events.size(); ++i) {
        INFO("event " << i + 1);
        CHECK(store.impl().event_at(i + 1) == events[i]);
    }
}

void change(const std::string& path, const std::string& sql)
{
    sqlite::Database db(path);
    db.execute("DROP TRIGGER IF EXISTS event_refuses_UPDATE");
    db.execute("DROP TRIGGER IF EXISTS word_refuses_DELETE");
    db.execute(sql);
}

} // namespace

TEST_CASE("a build is kept as the difference from an earlier one of its project")
{
    Place place;
    auto store = place.open();
    const auto events = builds("shop", 6);
    for (const auto& event : events) { // each in a commit of its own
        store->append(std::span(&event, 1));
    }
    CHECK(encodings(place.path) == std::vector<std::int64_t>{4, 5, 5, 5, 5, 5});
    check_bodies(*store, events);
    const auto found = sizes(*store, at(0)).kinds.at("build.recorded");
    CHECK(found.bytes < 6 * canonical_json(events[0].body).size() / 10);
    CHECK(verify(*store, thorough).findings.empty());
    CHECK(store->append(events).duplicates == events.size());
    check_bodies(*place.open(Store::Mode::read), events);
}

TEST_CASE("projects are not compared with each other, and what changed much is a new beginning")
{
    Place place;
    auto store = place.open();
    auto events = builds("shop", 2);
    const auto others = builds("bank", 2);
    const auto all_new = builds("mill", 3, sources);
    events.insert(events.end(), others.begin(), others.end());
    events.insert(events.end(), all_new.begin(), all_new.end());
    store->append(events);
    CHECK(encodings(place.path) == std::vector<std::int64_t>{4, 5, 4, 5, 4, 4, 4});
    check_bodies(*store, events);
}

TEST_CASE("a refused call leaves nothing that a later build would rest on")
{
    Place place;
    auto store = place.open();
    auto events = builds("shop", 2);
    auto refused = events;
    refused.push_back(said("shop", 3, {at(3), "image.created", Json{{"name", "no digest"}}}));
    CHECK(error_of([&] { store->append(refused); }));
    std::swap(events[0], events[1]);
    store->append(events);
    check_bodies(*store, events);
    CHECK(verify(*store, thorough).findings.empty());
}

TEST_CASE(
    "a keyframe that is lost, changed or damaged is said, with what rested on it and a way out")
{
    const auto events = builds("shop", 3);
    for (const auto* const sql :
         {"UPDATE event SET encoding = 2, body = x'' WHERE seq = 1",
          "UPDATE event SET encoding = 5, body = (SELECT body FROM event WHERE seq = 2) WHERE seq "
          "= "
          "1",
          "UPDATE event SET body = substr(body, 1, length(body) / 2) WHERE seq = 1",
          "UPDATE event SET body = substr(body, 1, length(body) / 2) WHERE seq = 3",
          "DELETE FROM word"}) {
        INFO(sql);
        Place place;
        place.open()->append(events);
        change(place.path, sql);
        auto store = place.open(Store::Mode::read);
        const auto error = error_of([&] { store->impl().event_at(3); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::corrupt);
        const auto said = error->one_line();
        CHECK((said.find("event shop/3 (build.recorded)") != std::string::npos ||
               said.find("word") != std::string::npos));
        CHECK(error->hint().find("ledger backup") != std::string::npos);
        CHECK(error_of([&] { store->find_manifest("shop"); }));
        CHECK(!verify(*store, thorough).findings.empty());
    }
}

TEST_CASE("a bit that is flipped in a keyframe or a difference is found")
{
    const auto events = builds("shop", 2);
    Place whole;
    whole.open()->append(events);
    std::string bodies[2];
    {
        sqlite::Database db(whole.path);
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)");
        auto rows = db.prepare("SELECT body FROM event ORDER BY seq");
        for (auto& body : bodies) {
            rows.step();
            body = rows.text(0);
        }
    }
    std::mt19937_64 random(5);
    std::size_t found = 0;
    constexpr std::size_t flips = 120;
    Place place;
    std::filesystem::copy_file(whole.path, place.path);
    for (std::size_t i = 0; i < flips; ++i) {
        auto damaged = bodies[i % 2];
        auto& byte = damaged[random() % damaged.size()];
        byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << (random() % 8)));
        sqlite::Database db(place.path); // its pages get their checksums: only the body is damaged
        db.execute("DROP TRIGGER IF EXISTS event_refuses_UPDATE");
        auto update = db.prepare("UPDATE event SET body = ?2 WHERE seq = ?1");
        update.bind(i % 2 + 1, sqlite::Blob{damaged}).run();
        const bool seen = !verify(*place.open(Store::Mode::read), thorough).findings.empty();
        bool reads_right = false;
        if (!seen) { // what means nothing in a frame, such as a bit that zstd ignores
            check_bodies(*place.open(Store::Mode::read), events);
            reads_right = true;
        }
        CHECK((seen || reads_right));
        found += seen ? 1U : 0U;
        update.bind(i % 2 + 1, sqlite::Blob{bodies[i % 2]}).run();
    }
    CHECK(found * 100 >= flips * 99);
}

TEST_CASE("pruning a keyframe leaves what rested on it whole, and its words go with what had them")
{
    Place place;
    auto store = place.open();
    auto events = builds("shop", 6);
    store->append(events);
    store->append(std::vector{said("o", 1, deployed(1, "gone", "a-host-of-the-past", "picture"))});
    store->append(std::vector{said("o", 2, retired(2, "gone"))});
    const auto has_word = [&] {
        sqlite::Database db(place.path);
        auto row = db.prepare("SELECT count(*) FROM word WHERE instr(text, ?1) > 0");
        row.bind(sqlite::Blob{"a-host-of-the-past"}).step();
        return row.integer(0) == 1;
    };
    CHECK(has_word());
    const auto checkpoint = checkpoint_of(*store);
    // The newest build of a branch stays; it rests on the first.
    const auto pruned = prune(*store, {at(100), true, nullptr, nullptr});
    CHECK(pruned.events.at("build.recorded") == 5);
    CHECK(!has_word());
    CHECK(encodings(place.path) == std::vector<std::int64_t>{2, 2, 2, 2, 2, 4, 2, 2, 3});
    CHECK(store->impl().event_at(6) == events[5]);
    Verification against = thorough;
    against.against = checkpoint;
    CHECK(verify(*store, against).findings.empty());
    const auto next = said("shop", 7, build("shop", 7, 2));
    store->append(std::span(&next, 1));
    CHECK(encodings(place.path).back() == 5); // from the one that took its place
    CHECK(store->impl().event_at(10) == next);
    CHECK(verify(*store, thorough).findings.empty());
}

TEST_CASE("pruning one keyframe of several that rest on it makes one of them the next")
{
    Place place;
    auto store = place.open();
    const auto events = builds("shop", 6);
    store->append(events);
    sqlite::Transaction transaction(store->impl().db);
    store->impl().db.execute("DROP TRIGGER event_refuses_UPDATE");
    const std::vector<std::uint64_t> going = {1};
    replace_keyframes(store->impl(), going);
    store->impl().db.execute("UPDATE event SET encoding = 2, body = x'' WHERE seq = 1");
    transaction.commit();
    CHECK(encodings(place.path) == std::vector<std::int64_t>{2, 4, 5, 5, 5, 5});
    for (std::size_t i = 1; i < events.size(); ++i) {
        CHECK(store->impl().event_at(i + 1) == events[i]);
    }
}
