#include "stemma/deployer/seed.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/deployer/spec.hpp"

#include <algorithm>
#include <cstdint>

namespace stemma::deployer {

namespace {

constexpr std::size_t sector = 512;
constexpr std::size_t entry_size = 32;
constexpr std::size_t root_entries = sector / entry_size;
constexpr std::size_t most_content = std::size_t{1} << 20U;
/// UTF-16 units of a long name that one entry carries.
constexpr std::size_t name_piece = 13;
/// FAT12 has at most 4084 clusters, and a reader tells the kind of table by their number alone.
constexpr std::size_t most_clusters = 4084;
/// 1980-01-01, the first day that FAT knows.
constexpr std::uint16_t first_day = (1U << 5U) | 1U;

void put16(std::string& bytes, std::size_t at, std::size_t value)
{
    bytes[at] = static_cast<char>(value & 0xffU);
    bytes[at + 1] = static_cast<char>((value >> 8U) & 0xffU);
}

void put32(std::string& bytes, std::size_t at, std::size_t value)
{
    put16(bytes, at, value & 0xffffU);
    put16(bytes, at + 2, value >> 16U);
}

std::size_t clusters_of(const SeedFile& file)
{
    return (file.content.size() + sector - 1) / sector;
}

/// The name that old readers see: SEED0, SEED1, …; the long one is the real one.
std::string short_name(std::size_t index)
{
    std::string name = "SEED" + std::to_string(index);
    name.resize(11, ' ');
    return name;
}

std::uint8_t checksum_of(std::string_view name)
{
    std::uint8_t sum = 0;
    for (const char c : name) {
        sum = static_cast<std::uint8_t>(((sum & 1U) << 7U) + (sum >> 1U) +
                                        static_cast<std::uint8_t>(c));
    }
    return sum;
}

/// Places of the 13 characters within an entry of a long name.
std::size_t place_in_entry(std::size_t index)
{
    return index < 5 ? 1 + 2 * index : index < 11 ? 14 + 2 * (index - 5) : 28 + 2 * (index - 11);
}

std::string long_name_entry(std::string_view name, std::size_t piece, std::uint8_t checksum)
{
    constexpr unsigned last = 0x40;
    const bool is_last = (piece + 1) * name_piece >= name.size();
    std::string entry(entry_size, '\0');
    entry[0] = static_cast<char>((piece + 1) | (is_last ? last : 0U));
    entry[11] = '\x0f';
    entry[13] = static_cast<char>(checksum);
    for (std::size_t i = 0; i < name_piece; ++i) {
        const auto at = piece * name_piece + i;
        // One zero ends a name that does not fill its entry; ones fill the rest.
        const std::size_t unit = at < name.size()    ? static_cast<unsigned char>(name[at])
                                 : at == name.size() ? 0U
                                                     : 0xffffU;
        put16(entry, place_in_entry(i), unit);
    }
    return entry;
}

std::string file_entries(const SeedFile& file, std::size_t index, std::size_t first_cluster)
{
    const auto alias = short_name(index);
    const auto pieces = (file.name.size() + name_piece - 1) / name_piece;
    std::string entries;
    for (auto piece = pieces; piece > 0; --piece) {
        entries += long_name_entry(file.name, piece - 1, checksum_of(alias));
    }
    std::string entry = alias;
    entry.resize(entry_size, '\0');
    entry[11] = '\x20'; // an ordinary file
    put16(entry, 16, first_day);
    put16(entry, 18, first_day);
    put16(entry, 24, first_day);
    put16(entry, 26, file.content.empty() ? 0 : first_cluster);
    put32(entry, 28, file.content.size());
    return entries + entry;
}

std::string label_entry()
{
    std::string entry = "CIDATA     ";
    entry.resize(entry_size, '\0');
    entry[11] = '\x08';
    put16(entry, 24, first_day);
    return entry;
}

/// Twelve bits per cluster: two of them share three bytes.
void put_table_entry(std::string& table, std::size_t cluster, std::size_t value)
{
    const auto at = cluster + cluster / 2;
    const auto low = static_cast<unsigned char>(table[at]);
    const auto high = static_cast<unsigned char>(table[at + 1]);
    if (cluster % 2 == 0) {
        table[at] = static_cast<char>(value & 0xffU);
        table[at + 1] = static_cast<char>((high & 0xf0U) | (value >> 8U));
    } else {
        table[at] = static_cast<char>((low & 0x0fU) | ((value & 0x0fU) << 4U));
        table[at + 1] = static_cast<char>(value >> 4U);
    }
}

std::string make_table(const std::vector<SeedFile>& files, std::size_t clusters)
{
    constexpr std::size_t end_of_chain = 0xfff;
    const auto bytes = ((clusters + 2) * 3 + 1) / 2;
    std::string table((bytes + sector - 1) / sector * sector, '\0');
    put_table_entry(table, 0, 0xff8);
    put_table_entry(table, 1, end_of_chain);
    std::size_t next = 2;
    for (const auto& file : files) {
        for (auto left = clusters_of(file); left > 0; --left, ++next) {
            put_table_entry(table, next, left == 1 ? end_of_chain : next + 1);
        }
    }
    return table;
}

std::string make_boot_sector(std::size_t sectors, std::size_t table_sectors, std::size_t serial)
{
    std::string boot(sector, '\0');
    boot.replace(0, 3, "\xeb\x3c\x90");
    boot.replace(3, 8, "STEMMA  ");
    put16(boot, 11, sector);
    boot[13] = 1; // sectors of a cluster
    put16(boot, 14, 1);
    boot[16] = 2; // tables
    put16(boot, 17, root_entries);
    put16(boot, 19, sectors);
    boot[21] = '\xf8'; // a fixed disk
    put16(boot, 22, table_sectors);
    put16(boot, 24, 1); // no geometry to speak of: any number of sectors is whole tracks
    put16(boot, 26, 1);
    boot[36] = '\x80';
    boot[38] = '\x29'; // serial, label and kind follow
    put32(boot, 39, serial);
    boot.replace(43, 11, "CIDATA     ");
    boot.replace(54, 8, "FAT12   ");
    boot.replace(510, 2, "\x55\xaa");
    return boot;
}

void check_files(const std::vector<SeedFile>& files)
{
    std::size_t size = 0;
    for (const auto& file : files) {
        const bool plain = std::ranges::all_of(file.name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        });
        if (!plain || file.name.empty() || file.name.size() > 2 * name_piece) {
            throw Error(ErrorCode::usage, "not a name for a file of a seed: " + file.name);
        }
        size += file.content.size();
    }
    if (size > most_content) {
        throw Error(ErrorCode::usage,
                    fmt::format("a cloud-init seed of {} bytes; {} at most", size, most_content));
    }
}

} // namespace

std::string make_seed(const std::vector<SeedFile>& files)
{
    check_files(files);
    std::string root = label_entry();
    std::string data;
    std::string names;
    std::size_t next = 2;
    for (std::size_t i = 0; i < files.size(); ++i) {
        root += file_entries(files[i], i, next);
        next += clusters_of(files[i]);
        data += files[i].content;
        data.resize((data.size() + sector - 1) / sector * sector, '\0');
        names += files[i].name;
    }
    if (root.size() > sector) {
        throw Error(ErrorCode::usage, "too many files for a cloud-init seed");
    }
    root.resize(sector, '\0');
    const auto clusters = std::max<std::size_t>(next - 2, 1);
    data.resize(clusters * sector, '\0');
    static_assert(most_content / sector + root_entries < most_clusters);
    const auto table = make_table(files, clusters);
    const auto digest = sha256(names + data).bytes;
    const auto serial = std::size_t{digest[0]} | std::size_t{digest[1]} << 8U |
                        std::size_t{digest[2]} << 16U | std::size_t{digest[3]} << 24U;
    const auto sectors = 1 + 2 * table.size() / sector + 1 + clusters;
    return make_boot_sector(sectors, table.size() / sector, serial) + table + table + root + data;
}

namespace {

std::string text_of(const TextSource& source)
{
    return source.file.empty() ? source.text : read_file(source.file, most_content);
}

} // namespace

std::string seed_of(const CloudInit& cloud, std::string_view release, std::string_view vm)
{
    std::vector<SeedFile> files;
    files.push_back({"user-data", text_of(cloud.user_data)});
    files.push_back(
        {"meta-data",
         cloud.meta_data
             ? text_of(*cloud.meta_data)
             : fmt::format("instance-id: {}\nlocal-hostname: {}\n", vm_uuid(release, vm), vm)});
    if (cloud.network_config) {
        files.push_back({"network-config", text_of(*cloud.network_config)});
    }
    return make_seed(files);
}

} // namespace stemma::deployer
