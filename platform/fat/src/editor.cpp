#include "stemma/fat/editor.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/utf16.hpp"

#include <algorithm>

#include "folder.hpp"

namespace stemma::fat {

namespace {

constexpr std::size_t most_long = 255; ///< UTF-16 units

void put16(std::span<std::byte> data, std::size_t at, std::uint32_t value)
{
    data[at] = static_cast<std::byte>(value & 0xFFU);
    data[at + 1] = static_cast<std::byte>((value >> 8U) & 0xFFU);
}

struct Stamp {
    std::uint32_t date = 0x21; ///< 1980-01-01, the first that FAT knows
    std::uint32_t time = 0;
};

Stamp stamp_of(Time moment)
{
    using namespace std::chrono; // NOLINT(google-build-using-namespace): units
    const auto day = floor<days>(moment);
    const year_month_day date(day);
    const int years = static_cast<int>(date.year()) - 1980;
    if (years < 0 || years > 127) {
        return {};
    }
    const hh_mm_ss clock(floor<seconds>(moment - day));
    return {.date = (static_cast<std::uint32_t>(years) << 9U) |
                    (static_cast<unsigned>(date.month()) << 5U) | static_cast<unsigned>(date.day()),
            .time = (static_cast<std::uint32_t>(clock.hours().count()) << 11U) |
                    (static_cast<std::uint32_t>(clock.minutes().count()) << 5U) |
                    static_cast<std::uint32_t>(clock.seconds().count() / 2)};
}

void expect_name(const std::string& name)
{
    const bool sound = !name.empty() && name != "." && name != ".." && name.back() != ' ' &&
                       name.back() != '.' && std::none_of(name.begin(), name.end(), [](char c) {
                           return static_cast<unsigned char>(c) < 0x20 ||
                                  std::string_view("\"*/:<>?\\|").find(c) != std::string_view::npos;
                       });
    if (!sound || volume::utf16_of(name).size() > most_long) {
        throw Error(ErrorCode::usage, fmt::format("FAT cannot hold the name {}", printable(name)));
    }
}

} // namespace

struct Editor::Impl {
    Impl(volume::Volume& on, Time now) : volume(on), table(on), stamp(stamp_of(now))
    {
        // What is marked unclean may have a table that lies; what differs does.
        const std::uint32_t mark = table.bits() == 12 ? 0 : table.entry(1);
        const std::uint32_t clean = table.bits() == 32 ? 0x08000000 : 0x8000;
        if (table.bits() != 12 && (mark & clean) == 0) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: its FAT file system was not closed cleanly", on.name()),
                        "repair it first: fsck.fat on an exported copy");
        }
        expect_equal_copies();
    }

    void expect_equal_copies()
    {
        constexpr std::uint64_t piece = std::uint64_t{1} << 20U;
        std::vector<std::byte> first;
        std::vector<std::byte> other;
        for (unsigned copy = 1; copy < table.copies(); ++copy) {
            for (std::uint64_t at = 0; at < table.table_size(); at += piece) {
                const auto now = static_cast<std::size_t>(std::min(piece, table.table_size() - at));
                first.resize(now);
                other.resize(now);
                volume.read(table.table_offset(0) + at, first);
                volume.read(table.table_offset(copy) + at, other);
                if (first != other) {
                    throw Error(
                        ErrorCode::corrupt,
                        fmt::format("{}: the copies of its allocation table differ", volume.name()),
                        "repair it first: fsck.fat on an exported copy");
                }
            }
        }
    }

    struct Place {
        std::uint32_t folder = 0; ///< first cluster; 0 the root
        std::string name;
        std::optional<Entry> present;
    };

    std::optional<Entry> find(std::uint32_t folder, std::string_view name)
    {
        auto all = read_folder(table, folder);
        const auto found = std::find_if(
            all.begin(), all.end(), [&](const Entry& each) { return same_name(each.name, name); });
        return found == all.end() ? std::nullopt : std::optional(*found);
    }

    Place place_of(const std::string& path)
    {
        std::vector<std::string_view> parts;
        for (const auto part : split(path, '/')) {
            if (!part.empty()) {
                parts.push_back(part);
            }
        }
        if (parts.empty()) {
            throw Error(ErrorCode::usage, fmt::format("not a file's name: {}", printable(path)));
        }
        Place place;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
            const auto entry = find(place.folder, parts[i]);
            if (!entry || !entry->is_folder()) {
                throw Error(ErrorCode::usage,
                            fmt::format("there is no folder {} in the image", printable(parts[i])));
            }
            place.folder = entry->cluster;
        }
        place.name = parts.back();
        place.present = find(place.folder, place.name);
        return place;
    }

    // ---- clusters

    std::uint32_t free_clusters()
    {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < table.cluster_count(); ++i) {
            count += table.entry(i + 2) == 0 ? 1U : 0U;
        }
        return count;
    }

    std::vector<std::uint32_t> allocate(std::uint64_t count)
    {
        std::vector<std::uint32_t> taken;
        for (; taken.size() < count && next_free - 2 < table.cluster_count(); ++next_free) {
            if (table.entry(next_free) == 0) {
                taken.push_back(next_free);
            }
        }
        if (taken.size() < count) {
            next_free = 2;
            throw Error(ErrorCode::io,
                        "the FAT file system inside the image is full",
                        "make the disk larger, or remove something");
        }
        for (std::size_t i = 0; i < taken.size(); ++i) {
            table.set_entry(taken[i], i + 1 < taken.size() ? taken[i + 1] : table.end_mark());
        }
        return taken;
    }

    void release(std::uint32_t first)
    {
        if (first == 0) {
            return;
        }
        for (const std::uint32_t cluster : table.chain(first, table.cluster_count())) {
            table.set_entry(cluster, 0);
            next_free = std::min(next_free, cluster);
        }
    }

    void fill(const std::vector<std::uint32_t>& clusters, std::string_view content)
    {
        std::vector<std::byte> bytes(table.cluster_size());
        for (const std::uint32_t cluster : clusters) {
            const auto part = content.substr(0, bytes.size());
            std::fill(bytes.begin(), bytes.end(), std::byte{0});
            std::transform(part.begin(), part.end(), bytes.begin(), [](char c) {
                return static_cast<std::byte>(c);
            });
            volume.write(table.place_of(cluster), bytes);
            content.remove_prefix(part.size());
        }
    }

    // ---- entries

    std::array<std::byte, entry_size> short_bytes(const ShortName& name,
                                                  std::uint8_t attributes,
                                                  std::uint32_t cluster,
                                                  std::uint32_t size) const
    {
        std::array<std::byte, entry_size> data{};
        std::transform(name.begin(), name.end(), data.begin(), [](std::uint8_t byte) {
            return static_cast<std::byte>(byte);
        });
        data[11] = static_cast<std::byte>(attributes);
        for (const std::size_t at : {std::size_t{14}, std::size_t{22}}) { // made, changed
            put16(data, at, stamp.time);
            put16(data, at + 2, stamp.date);
        }
        put16(data, 18, stamp.date);
        put16(data, 20, cluster >> 16U);
        put16(data, 26, cluster & 0xFFFFU);
        volume::put_le32(data, 28, size);
        return data;
    }

    static std::vector<std::array<std::byte, entry_size>> long_bytes(const std::string& name,
                                                                     std::uint8_t sum)
    {
        constexpr std::size_t per_entry = long_places.size();
        const auto units = volume::utf16_of(name);
        const std::size_t count = (units.size() + per_entry - 1) / per_entry;
        std::vector<std::array<std::byte, entry_size>> all(count);
        for (std::size_t part = 0; part < count; ++part) {
            auto& data = all[count - 1 - part];
            data[0] = static_cast<std::byte>(part + 1 == count ? (part + 1) | 0x40U : part + 1);
            data[11] = std::byte{0x0F};
            data[13] = static_cast<std::byte>(sum);
            for (std::size_t i = 0; i < per_entry; ++i) {
                const std::size_t at = part * per_entry + i;
                const std::uint32_t unit = at < units.size()    ? units[at]
                                           : at == units.size() ? 0U
                                                                : 0xFFFFU;
                put16(data, long_places[i], unit);
            }
        }
        return all;
    }

    ShortName free_alias(std::uint32_t folder, const std::string& name)
    {
        const auto all = read_folder(table, folder);
        for (unsigned number = 1; number < 1'000'000; ++number) {
            const ShortName alias = alias_of(name, number);
            if (std::none_of(all.begin(), all.end(), [&](const Entry& each) {
                    return each.short_name == alias;
                })) {
                return alias;
            }
        }
        throw Error(ErrorCode::usage, fmt::format("no short name is left for {}", printable(name)));
    }

    /// The index from which on `count` entries of a folder are free; the folder grows when it must.
    std::uint64_t free_index(std::uint32_t folder, std::size_t count)
    {
        const auto runs = folder_runs(table, folder);
        std::size_t free = 0;
        std::uint64_t index = 0;
        for (;; ++index) {
            const auto place = place_of_entry(runs, index);
            if (!place) {
                break;
            }
            std::array<std::byte, 1> first{};
            volume.read(*place, first);
            const bool is_free = first[0] == std::byte{0} || first[0] == std::byte{0xE5};
            free = is_free ? free + 1 : 0;
            if (free == count) {
                return index + 1 - count;
            }
        }
        grow(folder);
        return free_index(folder, count);
    }

    void grow(std::uint32_t folder)
    {
        const std::uint32_t first = folder == 0 ? table.root_cluster() : folder;
        if (first == 0) {
            throw Error(ErrorCode::io, "the root folder of the FAT file system is full");
        }
        const auto clusters = table.chain(first, table.cluster_count());
        if (clusters.size() * std::uint64_t{table.cluster_size()} >= 65536 * entry_size) {
            throw Error(ErrorCode::io, "a folder of the FAT file system is full");
        }
        const auto added = allocate(1);
        fill(added, "");
        table.set_entry(clusters.back(), added.front());
    }

    void add_entry(std::uint32_t folder,
                   const std::string& name,
                   std::uint8_t attributes,
                   std::uint32_t cluster,
                   std::uint32_t size)
    {
        const bool plain = is_short(name);
        const ShortName short_name = plain ? short_of(name) : free_alias(folder, name);
        std::vector<std::array<std::byte, entry_size>> entries;
        if (!plain) {
            entries = long_bytes(name, checksum(short_name));
        }
        entries.push_back(short_bytes(short_name, attributes, cluster, size));
        std::uint64_t index = free_index(folder, entries.size());
        const auto runs = folder_runs(table, folder);
        for (const auto& data : entries) {
            volume.write(place_of_entry(runs, index++).value(), data);
        }
    }

    void drop_entry(std::uint32_t folder, const Entry& entry)
    {
        const auto runs = folder_runs(table, folder);
        const std::array<std::byte, 1> deleted = {std::byte{0xE5}};
        for (std::uint32_t i = 0; i < entry.entries; ++i) {
            volume.write(place_of_entry(runs, entry.index + i).value(), deleted);
        }
    }

    /// A file that is there keeps its entry; only where its content lies changes.
    void repoint(const Entry& entry, std::uint32_t cluster, std::uint32_t size)
    {
        std::array<std::byte, entry_size> data{};
        volume.read(entry.place, data);
        put16(data, 22, stamp.time);
        put16(data, 24, stamp.date);
        put16(data, 18, stamp.date);
        put16(data, 20, cluster >> 16U);
        put16(data, 26, cluster & 0xFFFFU);
        volume::put_le32(data, 28, size);
        volume.write(entry.place, data);
    }

    volume::Volume& volume;
    Table table;
    Stamp stamp;
    std::uint32_t next_free = 2;
};

Editor::Editor(volume::Volume& volume, Time now) : impl_(std::make_unique<Impl>(volume, now)) {}

Editor::~Editor() = default;

void Editor::put_file(const std::string& path, std::string_view content)
{
    if (content.size() > 0xFFFFFFFF) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: FAT holds no file of 4 GiB or more", printable(path)));
    }
    const auto place = impl_->place_of(path);
    expect_name(place.name);
    if (place.present && place.present->is_folder()) {
        throw Error(ErrorCode::usage, fmt::format("{} is a folder in the image", printable(path)));
    }
    const std::uint64_t cluster = impl_->table.cluster_size();
    const auto clusters = impl_->allocate((content.size() + cluster - 1) / cluster);
    impl_->fill(clusters, content);
    const std::uint32_t first = clusters.empty() ? 0 : clusters.front();
    const auto size = static_cast<std::uint32_t>(content.size());
    if (place.present) {
        impl_->repoint(*place.present, first, size);
        impl_->release(place.present->cluster);
        return;
    }
    constexpr std::uint8_t archive = 0x20;
    impl_->add_entry(place.folder, place.name, archive, first, size);
}

bool Editor::put_folder(const std::string& path)
{
    const auto place = impl_->place_of(path);
    if (place.present) {
        if (!place.present->is_folder()) {
            throw Error(
                ErrorCode::usage,
                fmt::format("{} is in the image already, and is no folder", printable(path)));
        }
        return false;
    }
    expect_name(place.name);
    const std::uint32_t cluster = impl_->allocate(1).front();
    impl_->fill({cluster}, "");
    ShortName here;
    here.fill(' ');
    here[0] = '.';
    const std::uint64_t at = impl_->table.place_of(cluster);
    impl_->volume.write(at, impl_->short_bytes(here, attribute_folder, cluster, 0));
    here[1] = '.';
    impl_->volume.write(at + entry_size,
                        impl_->short_bytes(here, attribute_folder, place.folder, 0));
    impl_->add_entry(place.folder, place.name, attribute_folder, cluster, 0);
    return true;
}

void Editor::remove(const std::string& path)
{
    const auto place = impl_->place_of(path);
    if (!place.present) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image", printable(path)));
    }
    if (place.present->is_folder() && !read_folder(impl_->table, place.present->cluster).empty()) {
        throw Error(ErrorCode::usage, fmt::format("{} is not empty", printable(path)));
    }
    impl_->drop_entry(place.folder, *place.present);
    impl_->release(place.present->cluster);
}

std::uint64_t Editor::free_bytes()
{
    return std::uint64_t{impl_->free_clusters()} * impl_->table.cluster_size();
}

void Editor::finish()
{
    // FAT32 notes how much is free; the note must not lie.
    if (const std::uint64_t at = impl_->table.info_offset(); at != 0) {
        std::array<std::byte, 512> info{};
        impl_->volume.read(at, info);
        if (volume::le32(info, 0) == 0x41615252 && volume::le32(info, 484) == 0x61417272) {
            volume::put_le32(info, 488, impl_->free_clusters());
            volume::put_le32(info, 492, impl_->next_free);
            impl_->volume.write(at, info);
        }
    }
    impl_->volume.flush();
}

} // namespace stemma::fat
