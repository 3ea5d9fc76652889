#include "stemma/core/clock.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using stemma::support::error_of;

TEST_CASE("a time is printed in UTC with six digits and read back")
{
    const auto time = parse_time("2026-02-03T04:05:06.789012Z");
    CHECK(format_time(time) == "2026-02-03T04:05:06.789012Z");
    // `date -u -d 2026-02-03T04:05:06Z +%s` prints 1770091506.
    CHECK(time.time_since_epoch().count() == 1770091506789012);
}

TEST_CASE("an offset moves a time to UTC")
{
    CHECK(format_time(parse_time("2026-02-03T01:30:00+02:00")) == "2026-02-02T23:30:00.000000Z");
    CHECK(format_time(parse_time("2026-02-03T01:30:00-0130")) == "2026-02-03T03:00:00.000000Z");
}

TEST_CASE("fractions beyond microseconds are dropped")
{
    CHECK(format_time(parse_time("1969-12-31T23:59:59.123456789Z")) ==
          "1969-12-31T23:59:59.123456Z");
}

TEST_CASE("a bare day is its midnight")
{
    CHECK(format_time(parse_time("2024-02-29")) == "2024-02-29T00:00:00.000000Z");
}

TEST_CASE("what is not a time is refused with a hint")
{
    for (const auto* text : {"",
                             "now",
                             "2026-02-30T00:00:00Z",
                             "2026-02-03T24:00:00Z",
                             "2026-02-03T04:05:06",
                             "2026-02-03T04:05:06Zx",
                             "-026-02-03",
                             "2026-02-03T04:05:06.Z",
                             "2026-13-01"}) {
        const auto error = error_of([&] { parse_time(text); });
        INFO(text);
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::usage);
        CHECK_FALSE(error->hint().empty());
    }
}

TEST_CASE("an age counts back from now")
{
    const auto now = parse_time("2026-02-03T04:05:06Z");
    CHECK(format_time(parse_time_or_age("2h", now)) == "2026-02-03T02:05:06.000000Z");
    CHECK(format_time(parse_time_or_age("3d", now)) == "2026-01-31T04:05:06.000000Z");
    CHECK(error_of([&] { parse_time_or_age("3y", now); }));
    CHECK(error_of([&] { parse_time_or_age("-3d", now); }));
}
