#include "stemma/core/error.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/volume/borrowed.hpp"

#include <algorithm>

#include "drivers.hpp"
#include "foreign.hpp"

namespace stemma::disk {

using volume::Partition;
using volume::PartitionTable;

namespace {

std::string summary(const PartitionTable& table)
{
    std::string text;
    for (const Partition& partition : table.partitions) {
        text += fmt::format("{}{}: {} ({})",
                            text.empty() ? "" : ", ",
                            volume::describe(partition),
                            partition.content.empty() ? "unknown content" : partition.content,
                            human_size(partition.length));
    }
    for (const std::string& complaint : table.complaints) {
        text += "; " + complaint;
    }
    return text.empty() ? "no partition" : text;
}

std::string advice(const PartitionTable& table)
{
    std::string best;
    for (const Partition& partition : table.partitions) {
        // A physical volume's logical ones say more than it does.
        auto words = advice_about(partition.content);
        if (!words.empty() && (best.empty() || partition.type == "lvm")) {
            best = std::move(words);
        }
    }
    return best;
}

std::unique_ptr<volume::Filesystem> open_with_driver(std::unique_ptr<volume::Volume> disk,
                                                     const Partition& partition)
{
    const Driver* driver = driver_of(partition.content);
    if (driver == nullptr) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: {} holds {}, which has no reader here",
                                disk->name(),
                                volume::describe(partition),
                                partition.content.empty() ? "nothing known" : partition.content),
                    advice_about(partition.content));
    }
    return driver->open(take_partition(std::move(disk), partition));
}

bool looks_like_root(volume::Volume& disk, const Partition& partition)
{
    try {
        const auto tree = open_with_driver(std::make_unique<volume::Borrowed>(disk), partition);
        return tree->look_through("/etc/os-release").has_value() ||
               tree->look_through("/etc/fstab").has_value() ||
               tree->look_through("/Windows/System32/config/SYSTEM").has_value();
    } catch (const Error&) {
        return false; // NOLINT(bugprone-empty-catch): a damaged neighbour must not hide the root
    }
}

Partition
partition_by_number(const PartitionTable& table, std::uint32_t number, volume::Volume& disk)
{
    const auto found = std::find_if(table.partitions.begin(),
                                    table.partitions.end(),
                                    [&](const auto& each) { return each.number == number; });
    if (found == table.partitions.end()) {
        throw Error(
            ErrorCode::not_found,
            fmt::format("{}: there is no partition {} ({})", disk.name(), number, summary(table)));
    }
    return *found;
}

std::vector<Partition> readable(const PartitionTable& table)
{
    std::vector<Partition> all;
    std::copy_if(table.partitions.begin(),
                 table.partitions.end(),
                 std::back_inserter(all),
                 [](const Partition& each) { return driver_of(each.content) != nullptr; });
    return all;
}

[[noreturn]] void refuse_all(const PartitionTable& table, const std::string& name)
{
    const bool known = std::any_of(table.partitions.begin(),
                                   table.partitions.end(),
                                   [](const Partition& each) { return !each.content.empty(); });
    throw Error(known ? ErrorCode::unsupported : ErrorCode::not_found,
                fmt::format("{}: no file system that can be read here ({})", name, summary(table)),
                advice(table));
}

std::vector<Partition> roots_among(const std::vector<Partition>& candidates, volume::Volume& disk)
{
    std::vector<Partition> roots;
    std::copy_if(candidates.begin(),
                 candidates.end(),
                 std::back_inserter(roots),
                 [&](const Partition& each) { return looks_like_root(disk, each); });
    return roots;
}

/// Of those that could be the root the only one that looks like it. An EFI partition never does,
/// so the only file system of another kind is taken without a look, unless one that cannot be read
/// here may be the root as well: then it would be a /boot.
Partition pick_root(const PartitionTable& table, volume::Volume& disk)
{
    auto candidates = readable(table);
    const auto foreign = plan_foreign(table, std::nullopt);
    if (candidates.empty()) {
        refuse_all(table, disk.name());
    }
    if (candidates.size() > 1) {
        const auto ends = std::remove_if(candidates.begin(),
                                         candidates.end(),
                                         [](const auto& each) { return each.content == "vfat"; });
        if (ends != candidates.begin()) {
            candidates.erase(ends, candidates.end());
        }
    }
    if (candidates.size() == 1 && !foreign) {
        return candidates.front();
    }
    const auto roots = roots_among(candidates, disk);
    if (roots.empty() && foreign) {
        refuse_all(table, disk.name());
    }
    if (roots.size() != 1) {
        throw Error(ErrorCode::usage,
                    fmt::format("{}: {} partitions look like a root file system ({})",
                                disk.name(),
                                roots.empty() ? "none of several" : "several",
                                summary(table)),
                    "say which: --partition N");
    }
    return roots.front();
}

std::unique_ptr<volume::Filesystem> open_chosen(std::unique_ptr<volume::Volume> disk,
                                                const PartitionTable& table,
                                                std::optional<std::uint32_t> partition,
                                                const Explain& explain)
{
    const Partition chosen =
        partition ? partition_by_number(table, *partition, *disk) : pick_root(table, *disk);
    const auto name = disk->name();
    auto tree = open_with_driver(std::move(disk), chosen);
    if (explain) {
        explain(fmt::format("{}: {} is {}, read by {}, because {}",
                            name,
                            volume::describe(chosen),
                            tree->driver(),
                            driver_of(chosen.content)->name,
                            partition ? "it was asked for"
                                      : "it is the one that looks like a root file system"));
    }
    return tree;
}

/// Whether a file system that is read here looks like a root, in spite of others.
bool has_own_root(volume::Volume& disk, const PartitionTable& table)
{
    const auto candidates = readable(table);
    return !candidates.empty() &&
           !jail::compute(disk.name(), disk.descriptors(), {}, [&] {
                return std::string(roots_among(candidates, disk).size(), '+');
            }).empty();
}

namespace {

/// What libguestfs says, with what it was asked for.
Error unread(const Error& error, const std::string& name, const std::string& what)
{
    Error named(error.code(),
                fmt::format("{}: {} has no reader here, and libguestfs does not read it: {}",
                            name,
                            what,
                            error.message()),
                error.hint());
    for (const std::string& frame : error.frames()) {
        named.add_frame(frame);
    }
    return named;
}

} // namespace

std::unique_ptr<jail::Tree> open_foreign(std::unique_ptr<volume::Volume> disk,
                                         const Foreign& foreign,
                                         const OpenOptions& options)
{
    const auto name = disk->name();
    try {
        return guestfs::open_tree(
            std::move(disk),
            foreign.drives,
            {.wanted = foreign.wanted, .explain = options.explain, .cancel = options.cancel});
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        throw unread(error, name, foreign.what);
    }
}

Json to_json(const PartitionTable& table)
{
    Json partitions = Json::array();
    for (const Partition& each : table.partitions) {
        Json pieces = Json::array();
        for (const volume::Piece& piece : each.pieces) {
            pieces.push_back({piece.offset, piece.length});
        }
        partitions.push_back({{"number", each.number},
                              {"offset", each.offset},
                              {"length", each.length},
                              {"type", each.type},
                              {"label", each.label},
                              {"content", each.content},
                              {"pieces", pieces}});
    }
    return {{"kind", static_cast<int>(table.kind)},
            {"from_backup", table.from_backup},
            {"partitions", partitions},
            {"complaints", table.complaints}};
}

PartitionTable table_from(const Json& json)
{
    PartitionTable table;
    table.kind = static_cast<PartitionTable::Kind>(
        std::clamp(json.at("kind").get<int>(), 0, static_cast<int>(PartitionTable::Kind::gpt)));
    table.from_backup = json.at("from_backup").get<bool>();
    table.complaints = json.at("complaints").get<std::vector<std::string>>();
    for (const Json& each : json.at("partitions")) {
        Partition partition{.number = each.at("number").get<std::uint32_t>(),
                            .offset = each.at("offset").get<std::uint64_t>(),
                            .length = each.at("length").get<std::uint64_t>(),
                            .type = each.at("type").get<std::string>(),
                            .label = each.at("label").get<std::string>(),
                            .content = each.at("content").get<std::string>()};
        for (const Json& piece : each.at("pieces")) {
            partition.pieces.push_back({.offset = piece.at(0).get<std::uint64_t>(),
                                        .length = piece.at(1).get<std::uint64_t>()});
        }
        table.partitions.push_back(std::move(partition));
    }
    return table;
}

} // namespace

std::unique_ptr<volume::Volume> take_partition(std::unique_ptr<volume::Volume> disk,
                                               const Partition& partition)
{
    auto name = partition.number == 0
                    ? disk->name()
                    : fmt::format("{}, {}", disk->name(), volume::describe(partition));
    return std::make_unique<volume::Mapped>(
        std::move(disk), volume::pieces_of(partition), std::move(name));
}

volume::PartitionTable partition_table(volume::Volume& disk)
{
    const auto text = jail::compute(disk.name(), disk.descriptors(), {}, [&] {
        return to_json(volume::read_partitions(disk))
            .dump(-1, ' ', false, Json::error_handler_t::replace);
    });
    return doing(
        [&] { return table_from(Json::parse(text)); }, "reading the partitions of {}", disk.name());
}

Partition root_partition(volume::Volume& disk, std::optional<std::uint32_t> partition)
{
    const auto table = volume::read_partitions(disk);
    return partition ? partition_by_number(table, *partition, disk) : pick_root(table, disk);
}

std::unique_ptr<volume::Filesystem> open_root_here(std::unique_ptr<volume::Volume> disk,
                                                   std::optional<std::uint32_t> partition,
                                                   const Explain& explain)
{
    const auto table = volume::read_partitions(*disk);
    return open_chosen(std::move(disk), table, partition, explain);
}

std::unique_ptr<jail::Tree> open_root(std::unique_ptr<volume::Volume> disk,
                                      const OpenOptions& options)
{
    const auto table = partition_table(*disk);
    if (options.explain) {
        options.explain(fmt::format(
            "{}: {} partition table: {}", disk->name(), to_string(table.kind), summary(table)));
    }
    auto foreign = options.libguestfs ? plan_foreign(table, options.partition) : std::nullopt;
    if (foreign && (options.partition || !has_own_root(*disk, table))) {
        return open_foreign(std::move(disk), *foreign, options);
    }
    return jail::open_tree(std::move(disk),
                           [&](std::unique_ptr<volume::Volume> inside, const Explain& inner) {
                               return open_chosen(
                                   std::move(inside), table, options.partition, inner);
                           },
                           options.explain,
                           {.cancel = options.cancel});
}

std::string compute_on_root(std::unique_ptr<volume::Volume> disk,
                            std::optional<std::uint32_t> partition,
                            const std::function<std::string(volume::Filesystem&)>& work,
                            const Cancel* cancel)
{
    // Larger than for single questions: the whole of an image is looked at in one go.
    const jail::Limits limits{.processor = std::chrono::minutes(20), .cancel = cancel};
    const auto table = partition_table(*disk);
    const auto foreign = plan_foreign(table, partition);
    if (foreign && (partition || !has_own_root(*disk, table))) {
        const auto name = disk->name();
        const auto tree = open_foreign(std::move(disk), *foreign, {.cancel = cancel});
        return jail::compute(name, tree->descriptors(), limits, [&] { return work(*tree); });
    }
    return jail::compute(disk->name(), disk->descriptors(), limits, [&] {
        const auto tree =
            open_chosen(std::make_unique<volume::Borrowed>(*disk), table, partition, {});
        return work(*tree);
    });
}

} // namespace stemma::disk
