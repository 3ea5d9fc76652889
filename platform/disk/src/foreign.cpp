#include "foreign.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>

namespace stemma::disk {

using volume::Partition;
using volume::PartitionTable;

namespace {

/// File systems of which Linux has a driver and we have none.
constexpr std::array<std::string_view, 5> file_systems = {
    "xfs", "btrfs", "f2fs", "exfat", "iso9660"};
/// What only a kernel puts together, from all partitions that are a part of something.
constexpr std::array<std::string_view, 7> assembled = {"RAID",
                                                       "LVM striped",
                                                       "LVM thin",
                                                       "LVM thin-pool",
                                                       "LVM mirror",
                                                       "LVM cache",
                                                       "LVM writecache"};

bool is_assembled(const Partition& partition)
{
    return std::find(assembled.begin(), assembled.end(), partition.content) != assembled.end() ||
           partition.content.starts_with("LVM raid");
}

bool is_foreign(const Partition& partition)
{
    return is_assembled(partition) ||
           std::find(file_systems.begin(), file_systems.end(), partition.content) !=
               file_systems.end();
}

guestfs::Drive drive_of(const Partition& partition)
{
    return {.name = volume::describe(partition), .pieces = volume::pieces_of(partition)};
}

/// Partitions that RAID and LVM are made of.
void add_members(const PartitionTable& table, std::vector<guestfs::Drive>& drives)
{
    for (const Partition& each : table.partitions) {
        if (each.type != "lvm" && (each.content == "LVM" || each.content == "RAID")) {
            drives.push_back(drive_of(each));
        }
    }
}

} // namespace

std::optional<Foreign> plan_foreign(const PartitionTable& table,
                                    std::optional<std::uint32_t> partition)
{
    Foreign plan;
    bool with_members = false;
    for (const Partition& each : table.partitions) {
        if (!is_foreign(each) || (partition && each.number != *partition)) {
            continue;
        }
        plan.what += fmt::format(
            "{}{} ({})", plan.what.empty() ? "" : ", ", volume::describe(each), each.content);
        if (!is_assembled(each)) {
            plan.drives.push_back(drive_of(each));
            continue;
        }
        with_members = true;
        if (partition && each.type == "lvm") {
            plan.wanted = "/dev/" + each.label;
        }
    }
    if (with_members) {
        add_members(table, plan.drives);
    }
    return plan.drives.empty() ? std::nullopt : std::optional(std::move(plan));
}

} // namespace stemma::disk
