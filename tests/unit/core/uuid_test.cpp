#include "stemma/core/uuid.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;

TEST_CASE("a version 7 UUID is ordered by its time")
{
    const auto first = make_uuid7(parse_time("2026-01-01T00:00:00Z"));
    const auto second = make_uuid7(parse_time("2026-01-01T00:00:01Z"));
    CHECK(is_uuid(first));
    CHECK(first[14] == '7');
    CHECK(first < second);
    CHECK(make_uuid7(Time{}) != make_uuid7(Time{}));
}

TEST_CASE("a version 5 UUID is RFC 9562's example")
{
    CHECK(make_uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com") ==
          "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    CHECK(support::error_of([] { make_uuid5("nonsense", "x"); }));
}
