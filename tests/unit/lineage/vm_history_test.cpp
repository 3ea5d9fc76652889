#include "stemma/sqlite/database.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>

#include "facts.hpp"
#include "store/vm_history.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;

namespace {

VmHistory history_of(std::vector<model::Event> events)
{
    std::vector<VmFact> facts;
    for (std::size_t i = 0; i < events.size(); ++i) {
        facts.push_back({i + 1, to_integer(events[i].at), events[i].origin, events[i].oseq});
    }
    order(facts);
    VmHistory history;
    for (const auto& fact : facts) {
        history.apply(events[fact.seq - 1], fact.seq, fact.at);
    }
    return history;
}

void check_sane(const VmHistory& history)
{
    std::int64_t before = 0;
    for (const auto& span : history.spans()) {
        CHECK(span.since >= before);
        CHECK(span.until > span.since);
        before = span.until;
    }
}

} // namespace

TEST_CASE("a migration closes one span and opens one")
{
    const auto history = history_of({said("o", 1, deployed(1, "vm", "a", "i")),
                                     said("o", 2, state(1, "vm", "a", "running")),
                                     said("o", 3, migrated(5, "vm", "a", "b")),
                                     said("o", 4, deployed(9, "vm", "b", "j"))});
    REQUIRE(history.spans().size() == 3);
    CHECK(history.spans()[0].host == "a");
    CHECK(history.spans()[0].until == to_integer(at(5)));
    CHECK(history.spans()[1].host == "b");
    CHECK(history.spans()[1].state == "running");
    CHECK(history.spans()[2].image == sha256("j"));
    CHECK(history.spans()[2].until == forever);
    CHECK(history.conflicts().empty());
    check_sane(history);
}

TEST_CASE("an origin whose clock goes back makes no negative span")
{
    const auto history = history_of({said("o", 1, deployed(100, "vm", "a", "i")),
                                     said("o", 2, migrated(50, "vm", "a", "b")),
                                     said("o", 3, retired(20, "vm"))});
    check_sane(history);
    CHECK((history.spans().empty() || history.spans().back().until != forever));
}

TEST_CASE("a VM that two hosts claim is a conflict, and is on one host at a time")
{
    const auto history = history_of({said("o", 1, deployed(1, "vm", "a", "i")),
                                     said("o", 2, state(2, "vm", "a", "running")),
                                     said("p", 1, state(3, "vm", "b", "running"))});
    CHECK(history.conflicts().size() == 1);
    CHECK(history.spans().back().host == "b");
    check_sane(history);
}

TEST_CASE("what the host that a VM left says late does not bring it back")
{
    const auto history = history_of({said("o", 1, deployed(1, "vm", "a", "i")),
                                     said("o", 2, state(2, "vm", "a", "running")),
                                     said("o", 3, migrated(3, "vm", "a", "b")),
                                     said("p", 1, state(4, "vm", "a", "stopped"))});
    CHECK(history.spans().back().host == "b");
    CHECK(history.spans().back().state == "running");
    CHECK(history.conflicts().empty());
}

TEST_CASE("the same events in any order of arrival give the same spans")
{
    std::vector<model::Event> events = {said("o", 1, deployed(1, "vm", "a", "i")),
                                        said("o", 2, state(2, "vm", "a", "running")),
                                        said("p", 1, migrated(3, "vm", "a", "b")),
                                        said("q", 1, state(3, "vm", "b", "running")),
                                        said("o", 3, retired(9, "vm"))};
    const auto wanted = history_of(events).spans();
    std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
        return std::tie(a.origin, a.oseq) < std::tie(b.origin, b.oseq);
    });
    do {
        const auto got = history_of(events).spans();
        REQUIRE(got.size() == wanted.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
            CHECK(std::tie(got[i].since, got[i].until, got[i].host, got[i].state) ==
                  std::tie(wanted[i].since, wanted[i].until, wanted[i].host, wanted[i].state));
        }
    } while (std::next_permutation(events.begin(), events.end(), [](const auto& a, const auto& b) {
        return std::tie(a.origin, a.oseq) < std::tie(b.origin, b.oseq);
    }));
}

namespace {

/// Events of one VM, told by three hosts whose clocks go back and agree by chance.
std::vector<model::Event> any_events(std::mt19937_64& random)
{
    const std::vector<std::string> hosts = {"a", "b", "c"};
    std::vector<model::Event> events;
    std::map<std::string, std::uint64_t> oseq;
    for (int i = 0; i < 12; ++i) {
        const auto& origin = hosts[random() % hosts.size()];
        const auto& other = hosts[random() % hosts.size()];
        const auto when = static_cast<std::int64_t>(random() % 40); // also back, also equal
        const auto choice = random() % 5;
        events.push_back(said(
            origin,
            ++oseq[origin],
            choice == 0   ? deployed(when, "vm", origin, random() % 2 == 0 ? "i" : "j")
            : choice == 1 ? migrated(when, "vm", origin, other)
            : choice == 2 ? state(when, "vm", origin, random() % 2 == 0 ? "running" : "stopped")
            : choice == 3 ? model::EventDraft{at(when),
                                              "vm.changed",
                                              Json{{"uuid", "vm"}, {"name", "n"}, {"what", "x"}}}
                          : retired(when, "vm")));
    }
    return events;
}

std::string told(const VmSpan& span)
{
    return fmt::format("{} {} {} {} {} {} {} {}\n",
                       span.since,
                       span.until,
                       span.host,
                       span.image ? span.image->hex() : "-",
                       span.state,
                       span.release,
                       span.seq,
                       span.placed);
}

std::string spans_in(const std::string& path)
{
    sqlite::Database db(path);
    auto rows = db.prepare(
        "SELECT since, until, ifnull(host.name, ''), "
        "iif(image.id IS NULL, '-', lower(hex(image.digest))), state, release, vm_span.seq, "
        "placed FROM vm_span LEFT JOIN host ON host.id = host LEFT JOIN image "
        "ON image.id = image ORDER BY since");
    std::string text;
    while (rows.step()) {
        for (int column = 0; column < 8; ++column) {
            text += rows.text(column) + (column == 7 ? "\n" : " ");
        }
    }
    return text;
}

} // namespace

TEST_CASE("a store that takes events one at a time has the spans of all of them folded at once")
{
    std::mt19937_64 random(6);
    for (int round = 0; round < 60; ++round) {
        auto events = any_events(random);
        if (round % 2 ==
            0) { // as they happened; else as they were said, which differs by the clocks
            std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
                return a.at < b.at;
            });
        }
        if (round % 3 == 0) {
            std::shuffle(events.begin(), events.end(), random);
        }
        Place place;
        auto store = place.open();
        for (const auto& event : events) {
            store->append(std::span(&event, 1));
        }
        std::string wanted;
        const auto history = history_of(events);
        for (const auto& span : history.spans()) {
            wanted += told(span);
        }
        INFO("round " << round);
        CHECK(spans_in(place.path) == wanted);
    }
}

TEST_CASE("events of any clocks make spans one after the other, whatever their order of arrival")
{
    std::mt19937_64 random(5);
    for (int round = 0; round < 300; ++round) {
        auto events = any_events(random);
        const auto history = history_of(events);
        check_sane(history);
        std::shuffle(events.begin(), events.end(), random);
        const auto again = history_of(events);
        REQUIRE(again.spans().size() == history.spans().size());
        for (std::size_t i = 0; i < again.spans().size(); ++i) {
            CHECK(again.spans()[i].since == history.spans()[i].since);
            CHECK(again.spans()[i].until == history.spans()[i].until);
            CHECK(again.spans()[i].host == history.spans()[i].host);
            CHECK(again.spans()[i].image == history.spans()[i].image);
        }
    }
}
