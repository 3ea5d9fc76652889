#include "stemma/model/event.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::model;
using stemma::support::error_of;

namespace {

Event odd_event()
{
    return {"h\"1\\\n",
            7,
            parse_time("2026-01-01T00:00:00.000001Z"),
            "vm.\tchanged é",
            Json{{"b", {1, nullptr, -2, 1.5}}, {"a", {{"z", "\x01"}, {"y", ""}}}}};
}

} // namespace

TEST_CASE("the bytes that are hashed are the canonical form of the whole event")
{
    const auto event = odd_event();
    CHECK(canonical_event(event) == canonical_json(to_json(event)));
    CHECK(canonical_event(event, canonical_json(event.body)) == canonical_event(event));
}

TEST_CASE("an event is read as it was written")
{
    const auto event = odd_event();
    CHECK(event_from_json(parse_json(canonical_event(event), "event")) == event);
}

TEST_CASE("an event without number, kind, origin or body, or of a newer schema, is refused")
{
    const auto good = to_json(odd_event());
    for (const auto& [member, value] : {std::pair<const char*, Json>("oseq", 0),
                                        {"oseq", -1},
                                        {"kind", ""},
                                        {"origin", ""},
                                        {"body", "text"},
                                        {"at", "soon"},
                                        {"schema", "stemma.event/2"}}) {
        auto json = good;
        json[member] = value;
        INFO(member);
        CHECK(error_of([&] { event_from_json(json); }));
        json.erase(member);
        CHECK(error_of([&] { event_from_json(json); }));
    }
}
