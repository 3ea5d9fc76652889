#include "stemma/analyzer/retention.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <optional>

namespace stemma::analyzer {

namespace {

using Rule = Retention::Rule;
using Unit = Rule::Unit;

constexpr std::size_t most_kept = 1'000'000;
constexpr std::array units = {
    Unit::last, Unit::hourly, Unit::daily, Unit::weekly, Unit::monthly, Unit::yearly};

Error policy_error(std::string what)
{
    return {ErrorCode::usage,
            std::move(what),
            "for example --keep 10, or --keep hourly:24,daily:7,weekly:4,last:3"};
}

Unit unit_from(std::string_view word)
{
    std::vector<std::string> names;
    for (const auto unit : units) {
        if (word == to_string(unit)) {
            return unit;
        }
        names.emplace_back(to_string(unit));
    }
    const auto near = nearest(std::string(word), names);
    throw Error(ErrorCode::usage,
                fmt::format("'{}' is no unit of what is kept", printable(word)),
                near ? fmt::format("did you mean '{}'?", *near)
                     : fmt::format("use one of {}", join(names, ", ")));
}

std::size_t count_from(std::string_view word, std::string_view rule)
{
    const auto count = parse_unsigned(word);
    if (!count || *count > most_kept) {
        throw policy_error(fmt::format("'{}' does not say how many are kept", printable(rule)));
    }
    return *count;
}

/// The week of ISO 8601: it belongs to the year that its Thursday lies in.
std::string week_of(std::chrono::sys_days day)
{
    namespace chrono = std::chrono;
    const auto monday_before = [](chrono::sys_days any) {
        return any - (chrono::weekday(any) - chrono::Monday);
    };
    const auto monday = monday_before(day);
    const auto year = chrono::year_month_day(monday + chrono::days(3)).year();
    const auto first = monday_before(year / chrono::January / 4); // always in week 1
    return fmt::format("{}-W{:02}", static_cast<int>(year), (monday - first).count() / 7 + 1);
}

/// What a unit's bucket is called, in order of time.
std::string bucket_of(Unit unit, Time time)
{
    constexpr std::size_t year = 4;
    constexpr std::size_t month = 7;
    constexpr std::size_t day = 10;
    constexpr std::size_t hour = 13;
    const auto text = format_time(time);
    switch (unit) {
    case Unit::hourly:
        return "hour " + text.substr(0, hour);
    case Unit::daily:
        return "day " + text.substr(0, day);
    case Unit::weekly:
        return "week " + week_of(std::chrono::floor<std::chrono::days>(time));
    case Unit::monthly:
        return "month " + text.substr(0, month);
    case Unit::yearly:
        return "year " + text.substr(0, year);
    case Unit::last:
        break;
    }
    return {};
}

/// newest_first  indices into times
void apply(const Rule& rule,
           const std::vector<Time>& times,
           const std::vector<std::size_t>& newest_first,
           std::vector<std::vector<std::string>>& reasons)
{
    std::size_t kept = 0;
    std::string before;
    for (const auto index : newest_first) {
        if (kept == rule.count) {
            return;
        }
        auto bucket = bucket_of(rule.unit, times[index]);
        if (rule.unit == Unit::last) {
            bucket = fmt::format("last {} of {}", kept + 1, rule.count);
        } else if (bucket == before) {
            continue;
        }
        before = bucket;
        reasons[index].push_back(std::move(bucket));
        ++kept;
    }
}

} // namespace

std::string_view to_string(Unit unit) noexcept
{
    switch (unit) {
    case Unit::last:
        return "last";
    case Unit::hourly:
        return "hourly";
    case Unit::daily:
        return "daily";
    case Unit::weekly:
        return "weekly";
    case Unit::monthly:
        return "monthly";
    case Unit::yearly:
        break;
    }
    return "yearly";
}

std::string to_string(const Retention& retention)
{
    std::vector<std::string> words;
    for (const auto& rule : retention.rules) {
        words.push_back(fmt::format("{}:{}", to_string(rule.unit), rule.count));
    }
    return join(words, ",");
}

Retention parse_retention(std::string_view text)
{
    if (is_digits(text)) {
        return {{{Unit::last, count_from(text, text)}}};
    }
    Retention retention;
    std::size_t total = 0;
    for (const auto part : split(text, ',')) {
        const auto word = trim(part);
        const auto colon = word.find(':');
        if (word.empty()) {
            throw policy_error(fmt::format("'{}' has an empty part", printable(text)));
        }
        const auto unit = unit_from(trim(word.substr(0, colon)));
        if (colon == std::string_view::npos) {
            throw policy_error(fmt::format("'{}' does not say how many are kept", printable(word)));
        }
        const bool twice = std::any_of(retention.rules.begin(),
                                       retention.rules.end(),
                                       [&](const Rule& rule) { return rule.unit == unit; });
        if (twice) {
            throw policy_error(fmt::format("'{}' is said twice", to_string(unit)));
        }
        retention.rules.push_back({unit, count_from(trim(word.substr(colon + 1)), word)});
        total += retention.rules.back().count;
    }
    if (total == 0) { // 0 alone says so on purpose
        throw policy_error(fmt::format("'{}' would keep nothing", printable(text)));
    }
    return retention;
}

std::vector<std::vector<std::string>> reasons_to_keep(const Retention& retention,
                                                      const std::vector<Time>& times)
{
    std::vector<std::size_t> order(times.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(
        order.begin(), order.end(), [&](auto a, auto b) { return times[a] > times[b]; });
    std::vector<std::vector<std::string>> reasons(times.size());
    for (const auto& rule : retention.rules) {
        apply(rule, times, order, reasons);
    }
    return reasons;
}

} // namespace stemma::analyzer
