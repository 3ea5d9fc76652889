#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace stemma {

/// A moment, UTC, in microseconds since 1970. Everything that is stored uses this.
using Time = std::chrono::sys_time<std::chrono::microseconds>;

/// "2026-02-03T04:05:06.789012Z"; always UTC, always six digits, so that text order is time order.
std::string format_time(Time time);

/// Reads RFC 3339 with any offset and up to nine fractional digits.
/// throws  usage: not a time
Time parse_time(std::string_view text);

/// Reads RFC 3339, or an age such as "90s", "15m", "2h", "3d", "1w" before `now`.
/// throws  usage: neither
Time parse_time_or_age(std::string_view text, Time now);

/// "3 days ago", "just now"; for people only.
std::string describe_age(Time then, Time now);

/// The world's clock, passed in so that tests can hold it still.
class Clock {
public:
    virtual ~Clock() = default;
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    [[nodiscard]] virtual Time now() const = 0;
};

class SystemClock final : public Clock {
public:
    [[nodiscard]] Time now() const override;
};

} // namespace stemma
