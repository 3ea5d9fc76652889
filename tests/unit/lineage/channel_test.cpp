#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/query.hpp"

#include <catch2/catch.hpp>

#include "facts.hpp"

using namespace stemma;                // NOLINT(google-build-using-namespace): a test
using namespace stemma::lineage;       // NOLINT(google-build-using-namespace): a test
using namespace stemma::lineage::test; // NOLINT(google-build-using-namespace): a test

namespace {

model::EventDraft image_with(std::int64_t when,
                             const std::string& name,
                             const std::string& content,
                             const std::string& openssl)
{
    auto draft = image(when, name, content);
    draft.body["packages"] = {{{"name", "openssl"},
                               {"version", openssl},
                               {"arch", "amd64"},
                               {"purl", "pkg:deb/debian/openssl@" + openssl + "?arch=amd64"}}};
    return draft;
}

model::EventDraft head(std::int64_t when,
                       const std::string& channel,
                       const std::string& kind,
                       const std::string& name,
                       const Json& version,
                       const Json& digest)
{
    return {at(when),
            "channel.set",
            Json{{"channel", channel},
                 {"kind", kind},
                 {"name", name},
                 {"version", version},
                 {"digest", digest}}};
}

/// "web has 3.0.1, head 3.0.2, stable", of VMs only, by name.
std::vector<std::string>
behind(Store& store, const std::string& channel = {}, std::optional<Time> as_of = std::nullopt)
{
    Query query(store, {.as_of = as_of, .known_at = std::nullopt});
    std::vector<std::string> lines;
    for (const auto& found : query.outdated("", channel)) {
        if (found.node.kind == Kind::vm) {
            lines.push_back(fmt::format("{} of {} has {}, head {}, {}",
                                        query.item(found.node)["name"].get<std::string>(),
                                        found.package,
                                        found.version,
                                        found.head,
                                        found.channel));
        }
    }
    std::sort(lines.begin(), lines.end());
    return lines;
}

/// Two versions of an image, a VM on each.
std::unique_ptr<Store> fleet_of(Place& place)
{
    auto store = place.open();
    store->record(image_with(1, "web", "old", "3.0.1"));
    store->record(image_with(2, "web", "new", "3.0.2"));
    store->record(deployed(3, "a", "h", "old"));
    store->record(deployed(4, "b", "h", "new"));
    return store;
}

std::string short_of(std::string_view content)
{
    return sha(content).substr(0, 12);
}

} // namespace

TEST_CASE("the head of a channel decides what is out of date, not the newest number")
{
    Place place;
    const auto store = fleet_of(place);
    CHECK(behind(*store) ==
          std::vector{fmt::format("a-name of web has {}, head {}, newest of the name",
                                  short_of("old"),
                                  short_of("new"))});
    store->record(head(10, "stable", "image", "web", nullptr, sha("old")));
    CHECK(behind(*store) == std::vector{fmt::format("b-name of web has {}, head {}, stable",
                                                    short_of("new"),
                                                    short_of("old"))});
    // As of then, nobody had said so.
    CHECK(behind(*store, "", at(5)).size() == 1);
    CHECK(behind(*store, "", at(5))[0].find("newest of the name") != std::string::npos);
}

TEST_CASE("a channel may say the version of a distribution's package")
{
    Place place;
    const auto store = fleet_of(place);
    store->record(head(10, "security", "package", "openssl", "3.0.2", nullptr));
    CHECK(behind(*store, "security") ==
          std::vector<std::string>{"a-name of openssl has 3.0.1, head 3.0.2, security"});
    store->record(head(11, "security", "package", "openssl", "3.0.1", nullptr));
    CHECK(behind(*store, "security") ==
          std::vector<std::string>{"b-name of openssl has 3.0.2, head 3.0.1, security"});
    CHECK(behind(*store, "other").empty());
}

TEST_CASE("what is the head of any channel is not out of date, unless one of them is asked")
{
    Place place;
    const auto store = fleet_of(place);
    store->record(head(10, "stable", "image", "web", nullptr, sha("old")));
    store->record(head(11, "testing", "image", "web", nullptr, sha("new")));
    CHECK(behind(*store).empty());
    REQUIRE(behind(*store, "testing").size() == 1);
    CHECK(behind(*store, "testing")[0].starts_with("a-name of web"));
    REQUIRE(behind(*store, "stable").size() == 1);
    CHECK(behind(*store, "stable")[0].starts_with("b-name of web"));
    Query query(*store, {});
    const auto heads = query.channel_heads();
    REQUIRE(heads.size() == 2);
    CHECK(heads[0].channel == "stable");
    REQUIRE(heads[0].digest.has_value());
    CHECK(to_hex(*heads[0].digest) == sha("old"));
    CHECK(heads[1].at == at(11));
}
