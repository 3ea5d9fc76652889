#include "folder.hpp"

#include "stemma/core/error.hpp"
#include "stemma/volume/node_tree.hpp"
#include "stemma/volume/utf16.hpp"

#include <algorithm>

namespace stemma::fat {

namespace {

using volume::le16;
using volume::le32;

constexpr std::uint8_t attributes_of_long = 0x0F;
constexpr std::uint8_t attribute_label = 0x08;
constexpr std::uint64_t most_folder = std::uint64_t{65536} * entry_size;
constexpr std::uint8_t last_of_long = 0x40;

std::uint8_t byte_at(std::span<const std::byte> data, std::size_t at)
{
    return std::to_integer<std::uint8_t>(data[at]);
}

Time time_of(std::uint32_t date, std::uint32_t time)
{
    using namespace std::chrono; // NOLINT(google-build-using-namespace): units
    const year_month_day day(year(static_cast<int>(1980 + (date >> 9U))),
                             month((date >> 5U) & 15U),
                             std::chrono::day(date & 31U));
    if (!day.ok()) {
        return {};
    }
    return Time(sys_days(day) + hours(time >> 11U) + minutes((time >> 5U) & 63U) +
                seconds((time & 31U) * 2));
}

Entry short_entry(std::span<const std::byte> data)
{
    Entry entry;
    for (std::size_t i = 0; i < entry.short_name.size(); ++i) {
        entry.short_name[i] = byte_at(data, i);
    }
    entry.name = text_of(entry.short_name, byte_at(data, 12));
    entry.attributes = byte_at(data, 11);
    entry.cluster = (std::uint32_t{le16(data, 20)} << 16U) | le16(data, 26);
    entry.size = entry.is_folder() ? 0 : le32(data, 28);
    entry.modified = time_of(le16(data, 24), le16(data, 22));
    return entry;
}

/// Puts the parts of a long name together, which come last part first.
class LongName {
public:
    void add(std::span<const std::byte> data, std::uint32_t index)
    {
        const std::uint8_t order = byte_at(data, 0);
        if ((order & last_of_long) != 0) {
            *this = {};
            first_ = index;
            left_ = order & 0x1FU;
            sum_ = byte_at(data, 13);
        } else if (left_ == 0 || order != left_ || byte_at(data, 13) != sum_) {
            *this = {};
            return;
        }
        if (left_ == 0 || left_ > 20) {
            *this = {};
            return;
        }
        --left_;
        ++count_;
        std::vector<std::uint16_t> part;
        part.reserve(long_places.size());
        for (const std::size_t at : long_places) {
            part.push_back(le16(data, at));
        }
        units_.insert(units_.begin(), part.begin(), part.end());
    }

    /// Gives the name to its short entry, if it is this one's.
    void finish(Entry& entry)
    {
        if (count_ > 0 && left_ == 0 && checksum(entry.short_name) == sum_) {
            units_.erase(std::find(units_.begin(), units_.end(), 0), units_.end());
            auto name = volume::utf8_of(units_);
            if (volume::is_plain_name(name)) {
                entry.name = std::move(name);
                entry.index = first_;
                entry.entries = count_ + 1;
            }
        }
        *this = {};
    }

private:
    std::vector<std::uint16_t> units_;
    std::uint32_t first_ = 0;
    std::uint32_t count_ = 0;
    std::uint8_t left_ = 0;
    std::uint8_t sum_ = 0;
};

} // namespace

std::vector<Run> folder_runs(Table& table, std::uint32_t cluster)
{
    if (cluster == 0 && table.root_cluster() == 0) {
        return {table.fixed_root()};
    }
    const std::uint32_t first = cluster == 0 ? table.root_cluster() : cluster;
    return table.runs(first, (most_folder + table.cluster_size() - 1) / table.cluster_size());
}

std::optional<std::uint64_t> place_of_entry(const std::vector<Run>& runs, std::uint64_t index)
{
    std::uint64_t left = index * entry_size;
    for (const Run& run : runs) {
        if (left < run.length) {
            return run.offset + left;
        }
        left -= run.length;
    }
    return std::nullopt;
}

Entry read_entry(volume::Volume& volume, std::uint64_t place)
{
    std::array<std::byte, entry_size> data{};
    volume.read(place, data);
    Entry entry = short_entry(data);
    entry.place = place;
    return entry;
}

std::vector<Entry> read_folder(Table& table, std::uint32_t cluster)
{
    std::vector<Entry> all;
    LongName name;
    std::uint32_t index = 0;
    for (const Run& run : folder_runs(table, cluster)) {
        std::vector<std::byte> bytes(
            static_cast<std::size_t>(std::min<std::uint64_t>(run.length, most_folder)));
        table.volume().read(run.offset, bytes);
        for (std::size_t at = 0; at + entry_size <= bytes.size(); at += entry_size, ++index) {
            const auto data = std::span(std::as_const(bytes)).subspan(at, entry_size);
            const std::uint8_t first = byte_at(data, 0);
            if (first == 0) {
                return all; // nothing was ever written from here on
            }
            const std::uint8_t attributes = byte_at(data, 11);
            if (first == 0xE5) {
                name = {};
                continue;
            }
            if ((attributes & 0x3FU) == attributes_of_long) {
                name.add(data, index);
                continue;
            }
            if ((attributes & attribute_label) != 0 || first == '.') {
                name = {};
                continue;
            }
            Entry entry = short_entry(data);
            entry.place = run.offset + at;
            entry.index = index;
            name.finish(entry);
            if (volume::is_plain_name(entry.name)) {
                all.push_back(std::move(entry));
            }
        }
    }
    return all;
}

} // namespace stemma::fat
