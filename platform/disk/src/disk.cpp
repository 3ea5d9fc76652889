#include "stemma/disk/disk.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/ext/ext.hpp"
#include "stemma/nbd/nbd.hpp"
#include "stemma/volume/borrowed.hpp"

#include <algorithm>

namespace stemma::disk {

namespace fs = std::filesystem;

using volume::Container;
using volume::ContainerFormat;
using volume::Partition;

namespace {

/// A window that owns what it looks into.
class OwningSlice final : public volume::Volume {
public:
    OwningSlice(std::unique_ptr<volume::Volume> whole, const Partition& partition)
        : whole_(std::move(whole)),
          slice_(*whole_,
                 partition.offset,
                 partition.length,
                 partition.number == 0
                     ? whole_->name()
                     : fmt::format("{}, partition {}", whole_->name(), partition.number))
    {
    }
    [[nodiscard]] std::string name() const override { return slice_.name(); }
    [[nodiscard]] std::uint64_t size() const override { return slice_.size(); }
    [[nodiscard]] bool writable() const override { return slice_.writable(); }
    void read(std::uint64_t offset, std::span<std::byte> into) override
    {
        slice_.read(offset, into);
    }
    void write(std::uint64_t offset, std::span<const std::byte> data) override
    {
        slice_.write(offset, data);
    }
    void flush() override { slice_.flush(); }
    [[nodiscard]] std::vector<volume::Extent> extents(std::uint64_t offset,
                                                      std::uint64_t length) override
    {
        return slice_.extents(offset, length);
    }

private:
    std::unique_ptr<volume::Volume> whole_;
    volume::Slice slice_;
};

/// Formats whose own tables can be checked. A truncated qcow2 would read as zeros otherwise.
bool is_checkable(ContainerFormat format)
{
    return format == ContainerFormat::qcow2 || format == ContainerFormat::vdi ||
           format == ContainerFormat::vhdx || format == ContainerFormat::vmdk;
}

void check_container(const Container& container, bool force_share)
{
    Command command{
        .argv = {"qemu-img", "check", "-q", "-f", std::string(to_string(container.format))}};
    if (force_share) {
        command.argv.emplace_back("-U");
    }
    command.argv.push_back(container.path.string());
    command.timeout = std::chrono::minutes(10);
    const CommandResult result = run(command);
    constexpr int leaks_only = 3; // lost space, no lost data
    constexpr int not_supported = 63;
    if (result.exit.success() || (result.exit.signal == 0 && (result.exit.code == leaks_only ||
                                                              result.exit.code == not_supported))) {
        return;
    }
    std::string words = printable(trim(result.err.empty() ? result.out : result.err));
    if (words.size() > 400) {
        words.resize(400);
    }
    const bool locked = result.err.find("lock") != std::string::npos;
    throw Error(locked ? ErrorCode::conflict : ErrorCode::corrupt,
                fmt::format("{}: {}: {}",
                            container.path.string(),
                            locked ? "in use" : "the image fails qemu-img check",
                            words),
                locked ? "a running VM or another change uses this image; stop it first"
                       : "it may be cut off or damaged; get a sound copy");
}

bool has_reader(const std::string& content)
{
    return content == "ext2" || content == "ext3" || content == "ext4";
}

std::string describe(const volume::PartitionTable& table)
{
    std::string text;
    for (const Partition& partition : table.partitions) {
        text += fmt::format("{}{}: {} ({})",
                            text.empty() ? "" : ", ",
                            partition.number == 0 ? "whole disk"
                                                  : fmt::format("partition {}", partition.number),
                            partition.content.empty() ? "unknown content" : partition.content,
                            human_size(partition.length));
    }
    for (const std::string& complaint : table.complaints) {
        text += "; " + complaint;
    }
    return text.empty() ? "no partition" : text;
}

std::string advice_for(const volume::PartitionTable& table)
{
    for (const Partition& partition : table.partitions) {
        if (partition.content == "LUKS") {
            return "it is encrypted (LUKS); nothing here can open it without its key";
        }
        if (partition.content == "LVM" || partition.content == "RAID") {
            return fmt::format("its file systems lie inside {}, which is not read yet",
                               partition.content);
        }
        if (!partition.content.empty() && partition.content != "swap") {
            return fmt::format("{} is read through libguestfs: apt-get install libguestfs-tools",
                               partition.content);
        }
    }
    return {};
}

bool looks_like_root(volume::Volume& disk, const Partition& partition)
{
    try {
        const auto tree =
            ext::open_reader(take_partition(std::make_unique<volume::Borrowed>(disk), partition));
        return tree->look_through("/etc/os-release").has_value() ||
               tree->look_through("/etc/fstab").has_value();
    } catch (const Error&) {
        return false; // NOLINT(bugprone-empty-catch): a damaged neighbour must not hide the root
    }
}

Partition
chosen_partition(const volume::PartitionTable& table, std::uint32_t number, const std::string& name)
{
    for (const Partition& partition : table.partitions) {
        if (partition.number != number) {
            continue;
        }
        if (!has_reader(partition.content)) {
            throw Error(
                ErrorCode::unsupported,
                fmt::format("{}: partition {} holds {}, which has no reader here",
                            name,
                            number,
                            partition.content.empty() ? "nothing known" : partition.content));
        }
        return partition;
    }
    throw Error(ErrorCode::not_found,
                fmt::format("{}: there is no partition {} ({})", name, number, describe(table)));
}

} // namespace

std::vector<Container> chain_of(const fs::path& path, const OpenOptions& options)
{
    return volume::inspect_chain(path, volume::decide_format(path, options.format), options.allow);
}

std::unique_ptr<volume::Volume> open_disk(const fs::path& path, const OpenOptions& options)
{
    const auto chain = chain_of(path, options);
    if (options.check) {
        for (const Container& container : chain) {
            if (is_checkable(container.format)) {
                check_container(container, options.force_share);
            }
        }
    }
    auto node = volume::blockdev_json(chain, options.writable, options.force_share);
    auto disk = nbd::serve("json:" + node,
                           path.string(),
                           {.writable = options.writable, .snapshot = options.snapshot});
    return std::make_unique<volume::CachedVolume>(std::move(disk));
}

std::unique_ptr<volume::Volume> take_partition(std::unique_ptr<volume::Volume> disk,
                                               const Partition& partition)
{
    return std::make_unique<OwningSlice>(std::move(disk), partition);
}

Partition root_partition(volume::Volume& disk, std::optional<std::uint32_t> partition)
{
    const auto table = volume::read_partitions(disk);
    if (partition) {
        return chosen_partition(table, *partition, disk.name());
    }
    std::vector<Partition> candidates;
    std::copy_if(table.partitions.begin(),
                 table.partitions.end(),
                 std::back_inserter(candidates),
                 [](const Partition& each) { return has_reader(each.content); });
    if (candidates.empty()) {
        const bool known = std::any_of(table.partitions.begin(),
                                       table.partitions.end(),
                                       [](const Partition& each) { return !each.content.empty(); });
        throw Error(known ? ErrorCode::unsupported : ErrorCode::not_found,
                    fmt::format("{}: no file system that can be read here ({})",
                                disk.name(),
                                describe(table)),
                    advice_for(table));
    }
    if (candidates.size() == 1) {
        return candidates.front();
    }
    std::vector<Partition> roots;
    std::copy_if(candidates.begin(),
                 candidates.end(),
                 std::back_inserter(roots),
                 [&](const Partition& each) { return looks_like_root(disk, each); });
    if (roots.size() != 1) {
        throw Error(ErrorCode::usage,
                    fmt::format("{}: {} partitions look like a root file system ({})",
                                disk.name(),
                                roots.empty() ? "none of several" : "several",
                                describe(table)),
                    "say which: --partition N");
    }
    return roots.front();
}

std::unique_ptr<volume::Filesystem> open_root(std::unique_ptr<volume::Volume> disk,
                                              std::optional<std::uint32_t> partition)
{
    const Partition root = root_partition(*disk, partition);
    return ext::open_reader(take_partition(std::move(disk), root));
}

std::unique_ptr<volume::Filesystem> open_image_filesystem(const std::string& place,
                                                          const OpenOptions& options)
{
    if (const auto address = nbd::parse_uri(place)) {
        auto disk = std::make_unique<volume::CachedVolume>(nbd::connect(*address, place));
        return open_root(std::move(disk), options.partition);
    }
    return open_root(open_disk(place, options), options.partition);
}

} // namespace stemma::disk
