#include "stemma/analyzer/schedule.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::analyzer;
using namespace std::chrono_literals;

namespace {

const Time noon = parse_time("2026-01-01T12:00:00Z");

Schedule hourly(const std::string& id)
{
    Schedule schedule;
    schedule.id = id;
    schedule.set = {"release:shop", "vm:a"};
    schedule.every = 1h;
    schedule.keep = parse_retention("hourly:24,daily:7");
    schedule.method = PointMethod::external;
    schedule.keep_disk = true;
    return schedule;
}

} // namespace

TEST_CASE("a VM's turn comes once per period, once however late, and also when the clock went back")
{
    auto schedule = hourly("a");
    CHECK(schedule.is_due("vm", noon));
    schedule.runs["vm"] = {"shop", noon, ""};
    CHECK_FALSE(schedule.is_due("vm", noon + 59min));
    CHECK(schedule.is_due("vm", noon + 60min));
    CHECK(schedule.is_due("vm", noon + 50h));
    schedule.runs["vm"].at = noon + 50h; // the late one
    CHECK_FALSE(schedule.is_due("vm", noon + 50h + 1s));
    CHECK(schedule.is_due("vm", noon));
    CHECK(schedule.is_due("another", noon));
}

TEST_CASE("schedules are read as they were written, and noted runs stay with their schedule")
{
    const TemporaryFolder folder("schedules");
    const ScheduleBook book(folder.path());
    CHECK(book.all().empty());
    book.add(hourly("01a1fc46-0000"));
    book.add(hourly("01a1fc47-0000"));
    book.note("01a1fc46-0000", "uuid", {"shop", noon, "no host \xff"});
    book.note("gone", "uuid", {"shop", noon, ""});
    const auto all = ScheduleBook(folder.path()).all();
    REQUIRE(all.size() == 2);
    auto expected = hourly("01a1fc46-0000");
    expected.runs["uuid"] = {"shop", noon, "no host \xff"};
    CHECK(all[0] == expected);
    CHECK(all[1] == hourly("01a1fc47-0000"));

    CHECK(support::error_of([&] { (void)book.remove("01a1fc4"); })->code() == ErrorCode::usage);
    CHECK(support::error_of([&] { (void)book.remove(""); })->code() == ErrorCode::not_found);
    CHECK(book.remove("01a1fc46").id == "01a1fc46-0000");
    CHECK(support::error_of([&] { (void)book.remove("01a1fc46"); })->code() ==
          ErrorCode::not_found);
    CHECK(book.all().size() == 1);
}

TEST_CASE("a damaged book of schedules is named, not forgotten")
{
    const TemporaryFolder folder("schedules");
    write_file(folder.path() / "schedules.json", "{\"schema\": \"stemma.schedules/1\"");
    const auto error = support::error_of([&] { (void)ScheduleBook(folder.path()).all(); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::corrupt);
    CHECK(error->one_line().find("schedules.json") != std::string::npos);
}

TEST_CASE("a period is a number and a unit, a minute at least")
{
    CHECK(parse_period("90s") == 90s);
    CHECK(parse_period("15m") == 15min);
    CHECK(parse_period("1w") == 168h);
    for (const auto period : {90s, 900s, 3600s, 5400s, 86400s, 604800s}) {
        CHECK(parse_period(period_text(period)) == period);
    }
    for (const auto* text : {"", "h", "1", "59s", "0h", "-1h", "1.5h", "1y", "1 h", "hourly"}) {
        INFO(text);
        CHECK(support::error_of([&] { (void)parse_period(text); })->code() == ErrorCode::usage);
    }
}
