#pragma once

#include "stemma/core/clock.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// Which snapshots of one VM stay: the newest of each of the last so many hours, days, … in which
/// there is one, as restic and borg count. A snapshot that any rule keeps stays.
struct Retention {
    struct Rule {
        enum class Unit { last, hourly, daily, weekly, monthly, yearly };
        Unit unit = Unit::last;
        std::size_t count = 0;
        bool operator==(const Rule&) const = default;
    };
    std::vector<Rule> rules;
    bool operator==(const Retention&) const = default;
};

std::string_view to_string(Retention::Rule::Unit unit) noexcept;
/// "hourly:24,daily:7"; what parse_retention() reads.
std::string to_string(const Retention& retention);

/// Reads "hourly:24,daily:7,weekly:4,last:3", or a number alone: so many last ones.
/// throws  usage: an unknown word (with the nearest), one twice, no number, or nothing is kept
Retention parse_retention(std::string_view text);

/// What decides over each snapshot: "last 1 of 3", "day 2026-02-03"; none: it goes.
///
/// times    of one VM's snapshots, in any order
/// returns  as many as there are times, in their order; a rule's buckets are of UTC, weeks those of
///          ISO 8601
std::vector<std::vector<std::string>> reasons_to_keep(const Retention& retention,
                                                      const std::vector<Time>& times);

} // namespace stemma::analyzer
