#include "stemma/core/error.hpp"
#include "stemma/lineage/ledger.hpp"
#include "stemma/lineage/query.hpp"
#include "stemma/sqlite/database.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include "ask.hpp"
#include "fleet.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

/// Everything that is in what runs now, as an answer shows it.
Json present(Store& store, const Fleet& fleet)
{
    Json answers = Json::object();
    for (const auto& host : fleet.hosts()) {
        Query query(store, {});
        const auto nodes = select(query, "host:" + host + "*");
        answers[host] = {query.items(query.upstream(nodes)), query.items(query.downstream(nodes))};
    }
    return answers;
}

/// A fleet in a store, of whose images only those are not retired that a VM runs.
struct Old {
    Place place;
    Fleet fleet;
    std::unique_ptr<Store> store;
    std::vector<model::Event> events;

    explicit Old(std::uint64_t seed) : fleet(seed), store(place.open()), events(fleet.events)
    {
        store->append(events);
        std::set<std::string> used;
        for (const auto& vm : store->vms()) {
            used.insert(vm.image);
        }
        std::uint64_t oseq = 0;
        for (const auto& image : store->images()) {
            if (!used.contains(image.digest)) {
                events.push_back(said("janitor",
                                      ++oseq,
                                      {at(fleet.end),
                                       "image.retired",
                                       Json{{"name", image.name}, {"digest", image.digest}}}));
            }
        }
        store->append(events);
    }

    [[nodiscard]] Retention all_of_it(bool really = true) const
    {
        return {at(fleet.end + 1), really, nullptr, nullptr};
    }
};

std::uint64_t total(const Pruned& pruned)
{
    std::uint64_t events = 0;
    for (const auto& [kind, count] : pruned.events) {
        events += count;
    }
    return events;
}

std::vector<std::string> row_counts(const std::string& path)
{
    sqlite::Database db(path);
    std::vector<std::string> counts;
    auto names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    while (names.step()) {
        counts.push_back(
            fmt::format("{} {}",
                        names.view(0),
                        db.integer(fmt::format("SELECT count(*) FROM {}", names.view(0)))));
    }
    return counts;
}

} // namespace

TEST_CASE("pruning takes what nothing living rests on, and no answer about the present changes")
{
    for (const std::uint64_t seed : {41U, 42U, 43U}) {
        Old old(seed);
        INFO("seed " << seed);
        const auto before = present(*old.store, old.fleet);
        const auto checkpoint = checkpoint_of(*old.store);
        const auto planned = prune(*old.store, old.all_of_it(false));
        CHECK(present(*old.store, old.fleet) == before);
        const auto done = prune(*old.store, old.all_of_it());
        CHECK(done.events == planned.events);
        CHECK(done.bytes == planned.bytes);
        CHECK(done.events.contains("build.recorded"));
        CHECK(total(done) > old.events.size() / 10);
        CHECK(present(*old.store, old.fleet) == before);

        Verification against = thorough;
        against.against = checkpoint; // of before
        const auto report = verify(*old.store, against);
        CHECK(report.findings.empty());
        CHECK(report.pruned == total(done));
        CHECK(total(prune(*old.store, old.all_of_it())) == 0);
    }
}

TEST_CASE("what was pruned may be told again, and stays pruned")
{
    Old old(44);
    prune(*old.store, old.all_of_it());
    const auto before = row_counts(old.place.path);
    const auto again = old.store->append(old.events);
    CHECK(again.fresh == 0);
    CHECK(again.duplicates == old.events.size());
    CHECK(row_counts(old.place.path) == before);
}

TEST_CASE("what is younger than the moment stays")
{
    Old old(45);
    const auto half = old.fleet.end / 2;
    const auto done = prune(*old.store, {at(half), true, nullptr, nullptr});
    CHECK(total(done) < total(prune(*old.store, old.all_of_it(false))));
    sqlite::Database db(old.place.path);
    auto young = db.prepare("SELECT count(*) FROM event WHERE encoding = 2 AND at >= ?");
    young.bind(at(half).time_since_epoch().count());
    REQUIRE(young.step());
    CHECK(young.integer(0) == 0);
}

TEST_CASE("an answer about a time of which facts were pruned says that it is incomplete")
{
    Old old(49);
    const auto gaps_at = [&](View view) { return Query(*old.store, view).gaps(); };
    const View past{at(old.fleet.end / 2), std::nullopt};
    const View known{std::nullopt, 5};
    CHECK(gaps_at(past).empty());
    prune(*old.store, old.all_of_it());
    REQUIRE(gaps_at(past).size() == 1);
    CHECK(gaps_at(past)[0].reason.find("were pruned") != std::string::npos);
    CHECK(gaps_at(known).size() == 1);
    CHECK(gaps_at({}).empty());
    CHECK(gaps_at({at(old.fleet.end + 2), std::nullopt}).empty());
}

TEST_CASE("a pruned store that is compacted is smaller and as whole")
{
    Old old(46);
    old.store->append(std::vector{
        said("filler",
             1,
             {at(1),
              "vm.changed",
              Json{{"uuid", "gone"}, {"name", "gone"}, {"what", std::string(200'000, 'x') + "y"}}}),
        said("filler", 2, retired(2, "gone"))});
    prune(*old.store, old.all_of_it());
    compact(*old.store);
    const auto found = sizes(*old.store, at(0));
    CHECK(found.free == 0);
    CHECK(found.page_checksums);
    CHECK(found.recent.count == found.events.count);
    CHECK(verify(*old.store, thorough).findings.empty());
}

TEST_CASE("content that is gone without a word, and a tombstone that was changed, are found")
{
    const auto damaged_by = [](const std::string& sql) {
        Old old(47);
        prune(*old.store, old.all_of_it());
        {
            sqlite::Database db(old.place.path);
            db.execute("DROP TRIGGER event_refuses_UPDATE");
            db.execute(sql);
            CHECK(db.changes() > 0);
        }
        return verify(*old.store, {}).findings;
    };
    CHECK(
        !damaged_by("UPDATE event SET encoding = 2, body = x'' WHERE kind = 'host.added' OR seq = "
                    "(SELECT max(seq) FROM event WHERE encoding <> 2)")
             .empty());
    CHECK(!damaged_by("UPDATE event SET at = at + 1 WHERE seq = (SELECT min(seq) FROM event WHERE "
                      "encoding = 2)")
               .empty());
    CHECK(
        !damaged_by("UPDATE event SET hash = zeroblob(32) WHERE seq = (SELECT min(seq) FROM event "
                    "WHERE encoding = 2)")
             .empty());
    CHECK(damaged_by("UPDATE event SET at = at WHERE seq = 1").empty());
}

TEST_CASE("pruning that is interrupted changes nothing")
{
    Old old(48);
    const auto before = row_counts(old.place.path);
    Cancel cancel;
    cancel.request();
    auto retention = old.all_of_it();
    retention.cancel = &cancel;
    const auto error = error_of([&] { prune(*old.store, retention); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::interrupted);
    CHECK(row_counts(old.place.path) == before);
    CHECK(verify(*old.store, thorough).findings.empty());
}
