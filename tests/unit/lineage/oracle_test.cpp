#include "stemma/core/error.hpp"
#include "stemma/lineage/ledger.hpp"
#include "stemma/lineage/query.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include "ask.hpp"
#include "fleet.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;

namespace {

std::set<std::string> texts(Query& query, const Nodes& nodes, const char* member)
{
    std::set<std::string> found;
    for (const auto& item : query.items(nodes)) {
        if (item[member].is_string()) {
            found.insert(item[member].get<std::string>());
        }
    }
    return found;
}

std::set<SourceKey> sources(Query& query, const Nodes& nodes)
{
    std::set<SourceKey> found;
    for (const auto& item : query.items(only(Kind::source, nodes))) {
        found.insert({item["repo"].is_null() ? "" : item["repo"].get<std::string>(),
                      item["path"],
                      item["sha256"]});
    }
    return found;
}

const Verification rebuilt{true, std::nullopt, nullptr, nullptr};

std::string selector_of(const SourceKey& source)
{
    return fmt::format("file:{} & blob:{}{}",
                       source.path,
                       source.sha256,
                       source.repo.empty() ? "" : " & repo:" + source.repo);
}

View view_at(std::int64_t when, const Fleet& fleet)
{
    View view;
    if (when < fleet.end) {
        view.as_of = at(when);
    }
    return view;
}

void check_downstream(Store& store, const Fleet& fleet, const SourceKey& source, std::int64_t when)
{
    INFO(source.repo << ":" << source.path << " at " << when);
    {
        Query query(store, view_at(when, fleet));
        const auto down = query.downstream(select(query, selector_of(source)));
        const auto vms = fleet.vms_with(source, when);
        CHECK(texts(query, only(Kind::vm, down), "uuid") == vms);
        CHECK(texts(query, only(Kind::host, down), "name") == fleet.hosts_with(source, when));
    }
    Query query(store, view_at(when, fleet));
    const auto hosts = query.downstream(select(query, selector_of(source)), {Kind::host});
    CHECK(texts(query, hosts, "name") == fleet.hosts_with(source, when));
}

void check_against_oracle(Store& store, const Fleet& fleet)
{
    for (const std::int64_t when : {fleet.end, std::int64_t{1250}, std::int64_t{1400}}) {
        for (const auto& source : fleet.all_sources()) {
            check_downstream(store, fleet, source, when);
        }
        for (const auto& vm : fleet.vms()) {
            Query query(store, view_at(when, fleet));
            const auto up = query.upstream(select(query, "vm:" + vm));
            INFO(vm << " at " << when);
            CHECK(sources(query, up) == fleet.sources_of_vm(vm, when));
            CHECK(texts(query, only(Kind::package, up), "sha256") ==
                  fleet.packages_of_vm(vm, when));
        }
        for (const auto& host : fleet.hosts()) {
            Query query(store, view_at(when, fleet));
            INFO(host << " at " << when);
            try {
                const auto up = query.upstream(select(query, "host:" + host), {Kind::source});
                CHECK(sources(query, up) == fleet.sources_of_host(host, when));
            } catch (const Error&) {
                CHECK(fleet.sources_of_host(host, when).empty()); // it never was heard of
            }
        }
    }
}

/// Every answer to a set of questions, as text, without what the order of arrival decides.
std::string all_answers(Store& store, const Fleet& fleet, const View& view)
{
    std::string text;
    Query query(store, view);
    for (const auto& vm : fleet.vms()) {
        try {
            const auto selected = select(query, "vm:" + vm);
            text += vm + query.items(query.upstream(selected)).dump() +
                    query.items(query.downstream(selected)).dump() + "\n";
        } catch (const Error&) {
            text += vm + " unknown\n";
        }
    }
    for (const auto& found : query.outdated("")) {
        text += query.item(found.node)["name"].dump() + found.package + found.version + found.head +
                found.channel + "\n";
    }
    return text;
}

std::vector<std::string> sorted_lines(const std::string& text)
{
    std::vector<std::string> lines;
    std::size_t from = 0;
    while (from < text.size()) {
        const auto to = text.find('\n', from);
        lines.push_back(text.substr(from, to - from));
        from = to + 1;
    }
    std::sort(lines.begin(), lines.end());
    return lines;
}

/// The first difference between two answers, with what is around it; empty: none.
std::string difference(const std::string& a, const std::string& b)
{
    const auto left = sorted_lines(a);
    const auto right = sorted_lines(b);
    for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
        const auto x = i < left.size() ? left[i] : "";
        const auto y = i < right.size() ? right[i] : "";
        if (x != y) {
            const auto at = static_cast<std::size_t>(
                std::mismatch(x.begin(),
                              x.begin() + static_cast<std::ptrdiff_t>(std::min(x.size(), y.size())),
                              y.begin())
                    .first -
                x.begin());
            const auto from = at < 200 ? 0 : at - 200;
            return x.substr(from, 400) + "\n≠\n" + y.substr(from, 400);
        }
    }
    return {};
}

} // namespace

TEST_CASE("where and what equal a naive join over the facts, at any moment")
{
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
        INFO("seed " << seed);
        const Fleet fleet(seed);
        Place place;
        auto store = place.open();
        store->append(fleet.events);
        check_against_oracle(*store, fleet);
    }
}

TEST_CASE("facts that arrive shuffled and twice give the same answers")
{
    for (const std::uint64_t seed : {5U, 6U, 7U, 8U, 9U}) {
        INFO("seed " << seed);
        const Fleet fleet(seed);
        Place in_order;
        auto wanted = in_order.open();
        wanted->append(fleet.events);
        auto events = fleet.events;
        events.insert(events.end(), fleet.events.begin(), fleet.events.end());
        std::shuffle(events.begin(), events.end(), std::mt19937_64(seed));
        Place shuffled;
        auto store = shuffled.open();
        for (std::size_t from = 0; from < events.size(); from += 7) {
            store->append(
                std::span(events).subspan(from, std::min<std::size_t>(7, events.size() - from)));
        }
        CHECK(store->last_seq() == fleet.events.size());
        CHECK(difference(all_answers(*store, fleet, {}), all_answers(*wanted, fleet, {})) == "");
        const View past{at(1300), {}};
        CHECK(difference(all_answers(*store, fleet, past), all_answers(*wanted, fleet, past)) ==
              "");
        const auto report = verify(*store, rebuilt);
        CHECK(report.findings.empty());
    }
}

TEST_CASE("what was known at a position is what a ledger that ends there knows")
{
    const Fleet fleet(11);
    Place full;
    auto store = full.open();
    store->append(fleet.events);
    for (const std::size_t length :
         {std::size_t{20}, fleet.events.size() / 2, fleet.events.size() - 1}) {
        Place cut;
        auto ending = cut.open();
        ending->append(std::span(fleet.events).first(length));
        View view;
        view.known_at = length;
        INFO("position " << length);
        CHECK(difference(all_answers(*store, fleet, view), all_answers(*ending, fleet, {})) == "");
    }
}

TEST_CASE("re-ingesting everything changes no row")
{
    const Fleet fleet(12);
    Place place;
    auto store = place.open();
    store->append(fleet.events);
    const auto before = checkpoint_of(*store);
    const auto again = store->append(fleet.events);
    CHECK(again.fresh == 0);
    CHECK(again.duplicates == fleet.events.size());
    CHECK(checkpoint_of(*store).chain == before.chain);
    CHECK(verify(*store, rebuilt).findings.empty());
}

TEST_CASE("every chain of evidence is made of links that hold on their own")
{
    const Fleet fleet(13);
    Place place;
    auto store = place.open();
    store->append(fleet.events);
    std::size_t chains = 0;
    for (const auto& source : fleet.all_sources()) {
        for (const auto& vm : fleet.vms_with(source, fleet.end)) {
            Query query(*store, {});
            const auto from = select(query, selector_of(source));
            const auto to = select(query, "vm:" + vm);
            const auto links = query.chain(from, to);
            REQUIRE(!links.empty());
            ++chains;
            CHECK(from.count(links.front().from) == 1);
            CHECK(to.count(links.back().to) == 1);
            for (std::size_t i = 1; i < links.size(); ++i) {
                CHECK(links[i].from == links[i - 1].to);
            }
            // The package that the chain names is in the VM by the oracle as well.
            for (const auto& link : links) {
                if (link.to.kind == Kind::package) {
                    const auto sha256 = query.item(link.to)["sha256"].get<std::string>();
                    CHECK(fleet.packages_of_vm(vm, fleet.end).count(sha256) == 1);
                }
            }
        }
    }
    CHECK(chains > 50);
}
