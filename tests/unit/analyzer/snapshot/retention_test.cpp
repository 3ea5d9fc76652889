#include "stemma/analyzer/retention.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::analyzer;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> kept(std::string_view policy, const std::vector<std::string>& times)
{
    std::vector<Time> moments;
    for (const auto& time : times) {
        moments.push_back(parse_time(time));
    }
    const auto reasons = reasons_to_keep(parse_retention(policy), moments);
    std::vector<std::string> result;
    for (std::size_t i = 0; i < times.size(); ++i) {
        if (!reasons[i].empty()) {
            result.push_back(times[i]);
        }
    }
    return result;
}

} // namespace

TEST_CASE("the newest of each bucket stays, and of as many buckets as there are snapshots in")
{
    const std::vector<std::string> times = {"2026-01-01T10:00:00Z",
                                            "2026-01-01T23:00:00Z",
                                            "2026-01-05T08:00:00Z",
                                            "2026-01-05T09:30:00Z",
                                            "2026-01-05T09:59:59Z"};
    using Times = std::vector<std::string>;
    CHECK(kept("2", times) == Times{times[3], times[4]});
    CHECK(kept("last:1", times) == Times{times[4]});
    CHECK(kept("hourly:2", times) == Times{times[2], times[4]});
    CHECK(kept("daily:7", times) == Times{times[1], times[4]});
    CHECK(kept("monthly:3", times) == Times{times[4]});
    CHECK(kept("hourly:1,daily:2", times) == Times{times[1], times[4]});
    CHECK(kept("0", times).empty());
}

TEST_CASE("weeks are those of ISO 8601, also over the end of a year")
{
    // Sunday of 2026-W53 and the Monday after it; Thursday of 2026-W01 and the day before.
    const std::vector<Time> times = {parse_time("2027-01-03T12:00:00Z"),
                                     parse_time("2027-01-04T12:00:00Z"),
                                     parse_time("2026-01-01T12:00:00Z"),
                                     parse_time("2025-12-31T12:00:00Z")};
    const auto reasons = reasons_to_keep(parse_retention("weekly:9"), times);
    CHECK(reasons[0] == std::vector<std::string>{"week 2026-W53"});
    CHECK(reasons[1] == std::vector<std::string>{"week 2027-W01"});
    CHECK(reasons[2] == std::vector<std::string>{"week 2026-W01"});
    CHECK(reasons[3].empty());
}

TEST_CASE("of a policy it is said what keeps a snapshot, each rule of its own")
{
    const std::vector<Time> times = {parse_time("2026-02-03T04:05:06Z")};
    const auto reasons = reasons_to_keep(parse_retention("last:3, yearly:1"), times);
    CHECK(reasons[0] == std::vector<std::string>{"last 1 of 3", "year 2026"});
    CHECK(to_string(parse_retention("hourly:24,daily:7")) == "hourly:24,daily:7");
    CHECK(parse_retention("10") == parse_retention("last:10"));
}

TEST_CASE("a policy that cannot be meant is refused")
{
    for (const auto* text : {"",
                             ",",
                             "daily",
                             "daily:",
                             "daily:x",
                             "daily:-1",
                             "daily:7,",
                             "dayly:7",
                             "daily:7,daily:8",
                             "daily:0,hourly:0",
                             "7d",
                             "last:99999999999999999999"}) {
        INFO(text);
        const auto error = support::error_of([&] { (void)parse_retention(text); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::usage);
        CHECK_FALSE(error->hint().empty());
    }
    const auto error = support::error_of([] { (void)parse_retention("dayly:7"); });
    CHECK(error->hint() == "did you mean 'daily'?");
}
