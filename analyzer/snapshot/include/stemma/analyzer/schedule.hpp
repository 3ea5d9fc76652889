#pragma once

#include "stemma/analyzer/disk_point.hpp"
#include "stemma/analyzer/retention.hpp"
#include "stemma/core/clock.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stemma::analyzer {

/// Snapshots that are taken again and again of the VMs that a set names at that time.
struct Schedule {
    std::string id;               ///< UUIDv7
    std::vector<std::string> set; ///< words as for `snapshot take`
    std::chrono::seconds every{0};
    std::optional<Retention> keep; ///< of this schedule's snapshots of each VM; nullopt: all
    std::optional<PointMethod> method;
    bool keep_disk = false;
    bool memory = false;
    bool quiesce = false;

    /// The last time that it was a VM's turn; by uuid.
    struct Run {
        std::string name; ///< of the VM
        Time at{};
        std::string error; ///< empty: a snapshot was taken
        bool operator==(const Run&) const = default;
    };
    std::map<std::string, Run> runs;
    bool operator==(const Schedule&) const = default;

    /// It is the VM's turn: it never was, or `every` ago. However late that is seen, it is one
    /// turn.
    [[nodiscard]] bool is_due(const std::string& vm, Time now) const;
};

/// The schedules of a store, one JSON file beside it (schema stemma.schedules/1). Every call reads
/// it anew; changes are made under a lock, and appear whole or not at all.
class ScheduleBook {
public:
    explicit ScheduleBook(std::filesystem::path folder);

    /// In order of making. throws  corrupt, unsupported: a newer schema
    [[nodiscard]] std::vector<Schedule> all() const;
    void add(const Schedule& schedule) const;
    /// By id, or by the unique beginning of one.
    /// throws  not_found; usage: several begin so
    Schedule remove(const std::string& id) const;
    /// One that was removed meanwhile is left so.
    void note(const std::string& id, const std::string& vm, const Schedule::Run& run) const;

private:
    void save(const std::vector<Schedule>& schedules) const;
    [[nodiscard]] std::filesystem::path file() const { return folder_ / "schedules.json"; }
    std::filesystem::path folder_;
};

/// "90s", "15m", "2h", "1d", "1w".
/// throws  usage: anything else, or less than a minute
std::chrono::seconds parse_period(std::string_view text);
/// "1h", "90m": as parse_period() reads.
std::string period_text(std::chrono::seconds period);

} // namespace stemma::analyzer
