#include "stemma/core/clock.hpp"

#include "stemma/core/error.hpp"

#include <charconv>
#include <optional>

namespace stemma {

namespace {

using std::chrono::microseconds;

/// Reads fixed-width decimal fields from the front of a text.
class FieldReader {
public:
    explicit FieldReader(std::string_view text) : text_(text) {}

    std::optional<int> digits(std::size_t width)
    {
        if (text_.size() < width) {
            return std::nullopt;
        }
        int value = 0;
        const auto* end = text_.data() + width;
        const auto [stop, failure] = std::from_chars(text_.data(), end, value);
        if (failure != std::errc{} || stop != end || text_.front() == '-') {
            return std::nullopt;
        }
        text_.remove_prefix(width);
        return value;
    }

    bool skip(std::string_view any_of)
    {
        if (text_.empty() || any_of.find(text_.front()) == std::string_view::npos) {
            return false;
        }
        text_.remove_prefix(1);
        return true;
    }

    /// Fractional digits as microseconds; digits past the sixth are dropped.
    std::optional<int> fraction()
    {
        int value = 0;
        int places = 0;
        std::size_t seen = 0;
        while (!text_.empty() && text_.front() >= '0' && text_.front() <= '9' && seen < 9) {
            if (places < 6) {
                value = value * 10 + (text_.front() - '0');
                ++places;
            }
            ++seen;
            text_.remove_prefix(1);
        }
        if (seen == 0) {
            return std::nullopt;
        }
        for (; places < 6; ++places) {
            value *= 10;
        }
        return value;
    }

    [[nodiscard]] std::string_view rest() const { return text_; }

private:
    std::string_view text_;
};

std::optional<std::chrono::minutes> read_offset(FieldReader& reader)
{
    if (reader.skip("Zz")) {
        return std::chrono::minutes{0};
    }
    const bool negative = !reader.rest().empty() && reader.rest().front() == '-';
    if (!reader.skip("+-")) {
        return std::nullopt;
    }
    const auto hours = reader.digits(2);
    reader.skip(":");
    const auto minutes = reader.digits(2);
    if (!hours || !minutes || *hours > 23 || *minutes > 59) {
        return std::nullopt;
    }
    const auto total = std::chrono::minutes{*hours * 60 + *minutes};
    return negative ? -total : total;
}

std::optional<std::chrono::sys_days> read_date(FieldReader& reader)
{
    const auto year = reader.digits(4);
    const bool dash1 = reader.skip("-");
    const auto month = reader.digits(2);
    const bool dash2 = reader.skip("-");
    const auto day = reader.digits(2);
    if (!year || !dash1 || !month || !dash2 || !day) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(*month)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok()) {
        return std::nullopt;
    }
    return std::chrono::sys_days{date};
}

std::optional<Time> read_time(std::string_view text)
{
    FieldReader reader(text);
    const auto date = read_date(reader);
    if (!date) {
        return std::nullopt;
    }
    if (reader.rest().empty()) {
        return Time{*date};
    }
    const bool separator = reader.skip("Tt ");
    const auto hour = reader.digits(2);
    const bool colon1 = reader.skip(":");
    const auto minute = reader.digits(2);
    const bool colon2 = reader.skip(":");
    const auto second = reader.digits(2);
    if (!separator || !hour || !colon1 || !minute || !colon2 || !second || *hour > 23 ||
        *minute > 59 || *second > 60) {
        return std::nullopt;
    }
    int micros = 0;
    if (reader.skip(".")) {
        const auto fraction = reader.fraction();
        if (!fraction) {
            return std::nullopt;
        }
        micros = *fraction;
    }
    const auto offset = read_offset(reader);
    if (!offset || !reader.rest().empty()) {
        return std::nullopt;
    }
    return Time{*date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
           std::chrono::seconds{*second} + microseconds{micros} - *offset;
}

std::optional<microseconds> read_age(std::string_view text)
{
    if (text.size() < 2) {
        return std::nullopt;
    }
    const char unit = text.back();
    text.remove_suffix(1);
    std::int64_t count = 0;
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), count);
    constexpr std::int64_t most = 1'000'000;
    if (failure != std::errc{} || stop != text.data() + text.size() || count < 0 || count > most) {
        return std::nullopt;
    }
    switch (unit) {
    case 's':
        return std::chrono::seconds{count};
    case 'm':
        return std::chrono::minutes{count};
    case 'h':
        return std::chrono::hours{count};
    case 'd':
        return std::chrono::days{count};
    case 'w':
        return std::chrono::weeks{count};
    default:
        return std::nullopt;
    }
}

} // namespace

std::string format_time(Time time)
{
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                       static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()),
                       clock.hours().count(),
                       clock.minutes().count(),
                       clock.seconds().count(),
                       clock.subseconds().count());
}

Time parse_time(std::string_view text)
{
    const auto time = read_time(text);
    if (!time) {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' is not a time", text),
                    "write it as 2026-02-03T04:05:06Z");
    }
    return *time;
}

Time parse_time_or_age(std::string_view text, Time now)
{
    if (const auto age = read_age(text)) {
        return now - *age;
    }
    const auto time = read_time(text);
    if (!time) {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' is not a time", text),
                    "write it as 2026-02-03T04:05:06Z, or as an age: 90s, 15m, 2h, 3d, 1w");
    }
    return *time;
}

std::string describe_age(Time then, Time now)
{
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - then).count();
    const auto plural = [](std::int64_t count, std::string_view unit) {
        return fmt::format("{} {}{} ago", count, unit, count == 1 ? "" : "s");
    };
    if (seconds < 0) {
        return "in the future";
    }
    if (seconds < 5) {
        return "just now";
    }
    if (seconds < 120) {
        return plural(seconds, "second");
    }
    if (seconds < 2 * 3600) {
        return plural(seconds / 60, "minute");
    }
    if (seconds < 2 * 86400) {
        return plural(seconds / 3600, "hour");
    }
    return plural(seconds / 86400, "day");
}

Time SystemClock::now() const
{
    return std::chrono::time_point_cast<microseconds>(std::chrono::system_clock::now());
}

} // namespace stemma
