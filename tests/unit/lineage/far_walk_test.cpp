#include "stemma/lineage/query.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <random>

#include "ask.hpp"
#include "fleet.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;

namespace {

constexpr std::array kinds = {
    Kind::source, Kind::artifact, Kind::package, Kind::image, Kind::vm, Kind::host};

/// Everything that a question's answer says.
std::string said(Query& query, const Nodes& nodes)
{
    std::string gaps;
    for (const auto& gap : query.gaps()) {
        gaps += gap.what + ": " + gap.reason + "\n";
    }
    return query.items(nodes).dump(1) + "\n" + query.dirty_builds().dump() + "\n" + gaps;
}

using Walk = Nodes (Query::*)(const Nodes&, const std::set<Kind>&);

struct Answer {
    Nodes nodes;
    std::string said;
};

Answer answer(Query query, const std::string& selector, Walk walk, const std::set<Kind>& wanted)
{
    const auto nodes = (query.*walk)(select(query, selector), wanted);
    return {nodes, said(query, nodes)};
}

/// The answer, and the same from the walk over every link, which a position of the ledger asks for.
void check_same(Store& store, const View& view, const std::string& selector, Walk walk)
{
    INFO(selector);
    View to_the_end = view;
    to_the_end.known_at = store.last_seq();
    const auto near = answer(Query(store, to_the_end), selector, walk, {});
    const auto far = answer(Query(store, view), selector, walk, {});
    CHECK(far.nodes == near.nodes);
    CHECK(far.said == near.said);
    for (const auto kind : kinds) {
        const auto one = answer(Query(store, view), selector, walk, {kind});
        CHECK(one.nodes == only(kind, near.nodes));
    }
}

std::vector<std::string> selectors(const Fleet& fleet)
{
    std::vector<std::string> all = {"file:build/gen.c",
                                    "file:build/1.o",
                                    "file:/opt/one.a",
                                    "file:/usr/include/std.h",
                                    "artifact:lib.a",
                                    "artifact:app",
                                    "artifact:gen.c",
                                    "repo:repo1",
                                    "package:repo0-app",
                                    "package:libc*",
                                    "image:image-*",
                                    "image:image-[0]",
                                    "host:h[1]",
                                    "host:*"};
    for (const auto& source : fleet.all_sources()) {
        all.push_back("blob:" + source.sha256);
    }
    for (const auto& vm : fleet.vms()) {
        all.push_back("vm:" + vm);
    }
    return all;
}

void check_all(Store& store, const Fleet& fleet)
{
    for (const View& view : {View{}, View{at(1300), {}}}) {
        for (const auto& selector : selectors(fleet)) {
            check_same(store, view, selector, &Query::downstream);
            check_same(store, view, selector, &Query::upstream);
            check_same(store, view, selector, &Query::makings);
        }
    }
}

} // namespace

TEST_CASE("an answer that goes from build to build is that of the walk over every link")
{
    for (const std::uint64_t seed : {31U, 32U, 33U}) {
        INFO("seed " << seed);
        const Fleet fleet(seed);
        Place place;
        auto store = place.open();
        store->append(fleet.events);
        check_all(*store, fleet);
    }
}

TEST_CASE("what leaves a build is known in whatever order builds, packages and images arrive")
{
    for (const std::uint64_t seed : {34U, 35U}) {
        INFO("seed " << seed);
        const Fleet fleet(seed);
        auto events = fleet.events;
        std::shuffle(events.begin(), events.end(), std::mt19937_64(seed));
        Place place;
        auto store = place.open();
        for (const auto& event : events) {
            store->append(std::span(&event, 1));
        }
        check_all(*store, fleet);
    }
}

TEST_CASE("what VMs have in common is in each of them, and what is in each is in common")
{
    const Fleet fleet(36);
    Place place;
    auto store = place.open();
    store->append(fleet.events);
    const auto vms = fleet.vms();
    for (std::size_t from = 0; from + 3 <= vms.size(); ++from) {
        const auto selector =
            fmt::format("vm:{} + vm:{} + vm:{}", vms[from], vms[from + 1], vms[from + from % 3]);
        Query query(*store, {});
        const auto all = select(query, selector);
        std::optional<Nodes> wanted;
        for (const auto vm : all) {
            auto nodes = query.upstream({vm});
            nodes.merge(query.downstream({vm}));
            if (wanted) {
                std::erase_if(*wanted, [&](Node node) { return nodes.count(node) == 0; });
            } else {
                wanted = nodes;
            }
        }
        INFO(selector);
        CHECK(query.common(all) == *wanted);
        CHECK(query.common(all, {Kind::source}) == only(Kind::source, *wanted));
    }
}
