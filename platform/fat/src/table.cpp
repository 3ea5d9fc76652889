#include "table.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>

namespace stemma::fat {

namespace {

using volume::le16;
using volume::le32;

bool is_power_of_two(std::uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

} // namespace

void Table::refuse(const std::string& why) const
{
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: its FAT file system is damaged: {}", volume_.name(), why));
}

Table::Table(volume::Volume& volume) : volume_(volume)
{
    std::array<std::byte, 512> boot{};
    if (volume_.size() < boot.size()) {
        refuse("it is smaller than a boot sector");
    }
    volume_.read(0, boot);
    read_layout(boot);
}

void Table::read_layout(std::span<const std::byte> boot)
{
    const std::uint32_t sector = le16(boot, 11);
    const std::uint32_t per_cluster = std::to_integer<std::uint32_t>(boot[13]);
    if (!is_power_of_two(sector) || sector < 512 || sector > 4096 ||
        !is_power_of_two(per_cluster)) {
        refuse("the boot sector names no possible size of a cluster");
    }
    cluster_size_ = sector * per_cluster;
    copies_ = std::to_integer<unsigned>(boot[16]);
    const std::uint32_t small_total = le16(boot, 19);
    const std::uint32_t small_table = le16(boot, 22);
    const std::uint64_t total = small_total != 0 ? small_total : le32(boot, 32);
    const std::uint64_t table_sectors = small_table != 0 ? small_table : le32(boot, 36);
    const std::uint64_t root_bytes = std::uint64_t{le16(boot, 17)} * 32;
    table_at_ = std::uint64_t{le16(boot, 14)} * sector;
    table_size_ = table_sectors * sector;
    const std::uint64_t root_at = table_at_ + copies_ * table_size_;
    data_at_ = root_at + (root_bytes + sector - 1) / sector * sector;
    if (copies_ == 0 || copies_ > 4 || table_at_ == 0 || table_size_ == 0 ||
        data_at_ > total * sector) {
        refuse("the boot sector contradicts itself");
    }
    if (total * sector > volume_.size()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: the file system claims {} bytes, which is more than its disk "
                                "holds ({} bytes)",
                                volume_.name(),
                                total * sector,
                                volume_.size()),
                    "the image was cut off, or its partition is smaller than the file system");
    }
    const std::uint64_t clusters = (total * sector - data_at_) / cluster_size_;
    bits_ = small_table == 0 ? 32 : clusters < 4085 ? 12 : 16;
    const std::uint64_t room = table_size_ * 8 / static_cast<unsigned>(bits_);
    cluster_count_ = static_cast<std::uint32_t>(
        std::min<std::uint64_t>({clusters, room < 2 ? 0 : room - 2, 0x0FFFFFF5}));
    if (bits_ != 32) {
        fixed_root_ = {.offset = root_at, .length = root_bytes};
        return;
    }
    root_cluster_ = le32(boot, 44);
    if (!is_cluster(root_cluster_)) {
        refuse("its root folder lies outside");
    }
    const std::uint32_t info = le16(boot, 48);
    if (info != 0 && info != 0xFFFF && info * std::uint64_t{sector} < table_at_) {
        info_offset_ = info * std::uint64_t{sector};
    }
}

std::uint64_t Table::place_of(std::uint32_t cluster) const noexcept
{
    return data_at_ + (std::uint64_t{cluster} - 2) * cluster_size_;
}

bool Table::is_cluster(std::uint32_t number) const noexcept
{
    return number >= 2 && number - 2 < cluster_count_;
}

std::uint64_t Table::table_offset(unsigned copy) const noexcept
{
    return table_at_ + copy * table_size_;
}

std::uint32_t Table::end_mark() const noexcept
{
    return bits_ == 12 ? 0xFFF : bits_ == 16 ? 0xFFFF : 0x0FFFFFFF;
}

std::uint32_t Table::entry(std::uint32_t cluster, unsigned copy)
{
    const std::uint64_t base = table_offset(copy);
    std::array<std::byte, 4> bytes{};
    if (bits_ == 32) {
        volume_.read(base + std::uint64_t{cluster} * 4, bytes);
        return le32(bytes, 0) & 0x0FFFFFFFU;
    }
    const std::span pair = std::span(bytes).first(2);
    if (bits_ == 16) {
        volume_.read(base + std::uint64_t{cluster} * 2, pair);
        return le16(bytes, 0);
    }
    volume_.read(base + cluster + cluster / 2, pair);
    const std::uint32_t both = le16(bytes, 0);
    return cluster % 2 == 0 ? both & 0xFFFU : both >> 4U;
}

void Table::set_entry(std::uint32_t cluster, std::uint32_t value)
{
    for (unsigned copy = 0; copy < copies_; ++copy) {
        const std::uint64_t base = table_offset(copy);
        std::array<std::byte, 4> bytes{};
        if (bits_ == 32) {
            const std::uint64_t at = base + std::uint64_t{cluster} * 4;
            volume_.read(at, bytes);
            volume::put_le32(bytes, 0, (le32(bytes, 0) & 0xF0000000U) | value);
            volume_.write(at, bytes);
            continue;
        }
        const std::uint64_t at =
            base + (bits_ == 16 ? std::uint64_t{cluster} * 2 : cluster + cluster / 2);
        const std::span pair = std::span(bytes).first(2);
        volume_.read(at, pair);
        std::uint32_t both = le16(bytes, 0);
        if (bits_ == 16) {
            both = value;
        } else {
            both = cluster % 2 == 0 ? (both & 0xF000U) | value : (both & 0x000FU) | (value << 4U);
        }
        volume::put_le32(bytes, 0, both);
        volume_.write(at, pair);
    }
}

std::optional<std::uint32_t> Table::next(std::uint32_t cluster)
{
    const std::uint32_t value = entry(cluster);
    if (value >= end_mark() - 7) {
        return std::nullopt;
    }
    if (!is_cluster(value)) {
        refuse(fmt::format("cluster {} leads to {}, which does not exist", cluster, value));
    }
    return value;
}

std::vector<std::uint32_t> Table::chain(std::uint32_t first, std::uint64_t most)
{
    std::vector<std::uint32_t> clusters;
    if (most == 0) {
        return clusters;
    }
    if (!is_cluster(first)) {
        refuse(fmt::format("something begins at cluster {}, which does not exist", first));
    }
    std::optional<std::uint32_t> here = first;
    while (here && clusters.size() < most) {
        if (clusters.size() > cluster_count_) {
            refuse("a chain of clusters runs in a circle");
        }
        clusters.push_back(*here);
        here = clusters.size() < most ? next(*here) : std::nullopt;
    }
    return clusters;
}

std::vector<Run> Table::runs(std::uint32_t first, std::uint64_t most)
{
    std::vector<Run> all;
    for (const std::uint32_t cluster : chain(first, most)) {
        const std::uint64_t place = place_of(cluster);
        if (!all.empty() && all.back().offset + all.back().length == place) {
            all.back().length += cluster_size_;
        } else {
            all.push_back({.offset = place, .length = cluster_size_});
        }
    }
    return all;
}

} // namespace stemma::fat
