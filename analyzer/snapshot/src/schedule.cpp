#include "stemma/analyzer/schedule.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stemma::analyzer {

namespace fs = std::filesystem;

namespace {

using std::chrono::seconds;

constexpr std::string_view book_schema = "stemma.schedules/1";
constexpr std::uint64_t most_units = 1'000'000; // more is never meant
constexpr std::array<std::pair<char, int>, 5> period_units = {
    {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};

Json schedule_json(const Schedule& schedule)
{
    auto runs = Json::object();
    for (const auto& [vm, run] : schedule.runs) {
        runs[vm] = {{"at", format_time(run.at)},
                    {"error", json_text(run.error)},
                    {"name", json_text(run.name)}};
    }
    Json keep = nullptr;
    if (schedule.keep) {
        keep = to_string(*schedule.keep);
    }
    Json method = nullptr;
    if (schedule.method) {
        method = to_string(*schedule.method);
    }
    return {{"every_s", schedule.every.count()},
            {"id", schedule.id},
            {"keep", keep},
            {"keep_disk", schedule.keep_disk},
            {"memory", schedule.memory},
            {"method", method},
            {"quiesce", schedule.quiesce},
            {"runs", runs},
            {"set", schedule.set}};
}

Schedule schedule_from(const Json& json)
{
    Schedule schedule;
    schedule.id = string_member(json, "id");
    schedule.every = seconds(integer_member(json, "every_s"));
    for (const auto& word : array_member(json, "set")) {
        schedule.set.push_back(text_of(word, "set"));
    }
    if (const auto keep = optional_string_member(json, "keep")) {
        schedule.keep = parse_retention(*keep);
    }
    if (const auto method = optional_string_member(json, "method")) {
        schedule.method = point_method_from(*method);
    }
    schedule.keep_disk = bool_member(json, "keep_disk");
    schedule.memory = bool_member(json, "memory");
    schedule.quiesce = bool_member(json, "quiesce");
    for (const auto& [vm, run] : member(json, "runs").items()) {
        schedule.runs[vm] = {.name = text_of(member(run, "name"), "name"),
                             .at = parse_time(string_member(run, "at")),
                             .error = text_of(member(run, "error"), "error")};
    }
    return schedule;
}

} // namespace

bool Schedule::is_due(const std::string& vm, Time now) const
{
    const auto last = runs.find(vm);
    // A clock that was set back must not put it off for years.
    return last == runs.end() || now - last->second.at >= every || last->second.at > now;
}

ScheduleBook::ScheduleBook(fs::path folder) : folder_(std::move(folder)) {}

std::vector<Schedule> ScheduleBook::all() const
{
    if (!fs::exists(file())) {
        return {};
    }
    return doing(
        [&] {
            const auto json = parse_json(read_file(file()), file().string());
            if (string_member(json, "schema") != book_schema) {
                throw Error(ErrorCode::unsupported, "the schedules are of a newer form");
            }
            std::vector<Schedule> result;
            for (const auto& item : array_member(json, "schedules")) {
                result.push_back(schedule_from(item));
            }
            return result;
        },
        "reading {}",
        file().string());
}

void ScheduleBook::save(const std::vector<Schedule>& schedules) const
{
    auto items = Json::array();
    for (const auto& schedule : schedules) {
        items.push_back(schedule_json(schedule));
    }
    write_file(file(), Json{{"schedules", items}, {"schema", book_schema}}.dump(2) + "\n");
}

void ScheduleBook::add(const Schedule& schedule) const
{
    const FileLock lock(folder_ / "schedules.lock", FileLock::Wait::yes);
    auto schedules = all();
    schedules.push_back(schedule);
    save(schedules);
}

Schedule ScheduleBook::remove(const std::string& id) const
{
    const FileLock lock(folder_ / "schedules.lock", FileLock::Wait::yes);
    auto schedules = all();
    const auto begins = [&](const Schedule& schedule) {
        return !id.empty() && schedule.id.starts_with(id);
    };
    const auto found = std::find_if(schedules.begin(), schedules.end(), begins);
    if (found == schedules.end()) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no schedule '{}'", printable(id)),
                    "`stemma snapshot schedule list` shows them");
    }
    if (std::count_if(schedules.begin(), schedules.end(), begins) > 1) {
        throw Error(ErrorCode::usage,
                    fmt::format("several schedules begin with '{}'", printable(id)),
                    "give more digits of the id");
    }
    auto removed = std::move(*found);
    schedules.erase(found);
    save(schedules);
    return removed;
}

void ScheduleBook::note(const std::string& id,
                        const std::string& vm,
                        const Schedule::Run& run) const
{
    const FileLock lock(folder_ / "schedules.lock", FileLock::Wait::yes);
    auto schedules = all();
    for (auto& schedule : schedules) {
        if (schedule.id == id) {
            schedule.runs[vm] = run;
            save(schedules);
        }
    }
}

seconds parse_period(std::string_view text)
{
    const auto digits = text.substr(0, text.empty() ? 0 : text.size() - 1);
    const auto number = std::min(parse_unsigned(digits).value_or(0), most_units);
    for (const auto& [letter, length] : period_units) {
        const auto period = seconds(static_cast<std::int64_t>(number) * length);
        if (!text.empty() && text.back() == letter && period >= std::chrono::minutes(1)) {
            return period;
        }
    }
    throw Error(ErrorCode::usage,
                fmt::format("'{}' is no time between two snapshots", printable(text)),
                "for example --every 15m, 1h, 1d or 1w; a minute at least");
}

std::string period_text(seconds period)
{
    for (const auto& [letter, length] : period_units) {
        if (period.count() % length == 0) {
            return fmt::format("{}{}", period.count() / length, letter);
        }
    }
    return fmt::format("{}s", period.count());
}

} // namespace stemma::analyzer
