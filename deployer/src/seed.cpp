#include "stemma/deployer/seed.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/deployer/spec.hpp"
#include "stemma/fat/editor.hpp"
#include "stemma/volume/volume.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>

namespace stemma::deployer {

namespace {

constexpr std::size_t sector = 512;
constexpr std::size_t entry_size = 32;
constexpr std::size_t root_entries = sector / entry_size;
constexpr std::size_t most_content = std::size_t{1} << 20U;
constexpr std::size_t most_name = 26;
constexpr std::string_view label = "CIDATA     ";
/// 1980-01-01, the first day that FAT knows.
constexpr std::uint16_t first_day = (1U << 5U) | 1U;

void put16(std::string& bytes, std::size_t at, std::size_t value)
{
    bytes[at] = static_cast<char>(value & 0xffU);
    bytes[at + 1] = static_cast<char>((value >> 8U) & 0xffU);
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
    put16(boot, 39, serial & 0xffffU);
    put16(boot, 41, serial >> 16U);
    boot.replace(43, 11, label);
    boot.replace(54, 8, "FAT12   ");
    boot.replace(510, 2, "\x55\xaa");
    return boot;
}

/// An empty FAT12 file system that holds so many clusters of one sector.
std::string empty_disk(std::size_t clusters, std::size_t serial)
{
    const std::size_t table_bytes = ((clusters + 2) * 3 + 1) / 2; // twelve bits per cluster
    std::string table((table_bytes + sector - 1) / sector * sector, '\0');
    table.replace(0, 3, "\xf8\xff\xff"); // the kind of disk, and the mark of a chain's end
    std::string root(label);
    root.resize(sector, '\0');
    root[11] = '\x08'; // not a file: the label
    put16(root, 24, first_day);
    const std::size_t sectors = 1 + 2 * table.size() / sector + 1 + clusters;
    std::string disk = make_boot_sector(sectors, table.size() / sector, serial);
    disk += table + table + root;
    disk.resize(sectors * sector, '\0');
    return disk;
}

void check_files(const std::vector<SeedFile>& files)
{
    std::size_t size = 0;
    std::set<std::string_view> names;
    for (const auto& file : files) {
        const bool plain = std::ranges::all_of(file.name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        });
        if (!plain || file.name.empty() || file.name.size() > most_name ||
            !names.insert(file.name).second) {
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
    std::size_t clusters = 0;
    Sha256 hash;
    for (const SeedFile& file : files) {
        clusters += (file.content.size() + sector - 1) / sector;
        hash.update(file.name + '\0' + file.content);
    }
    const auto digest = hash.finish().bytes;
    const auto serial = std::size_t{digest[0]} | std::size_t{digest[1]} << 8U |
                        std::size_t{digest[2]} << 16U | std::size_t{digest[3]} << 24U;
    volume::MemoryVolume disk(empty_disk(std::max<std::size_t>(clusters, 1), serial), "the seed");
    fat::Editor editor(disk, Time{}); // FAT's first day, so that the same files give the same bytes
    for (const SeedFile& file : files) {
        editor.put_file("/" + file.name, file.content);
    }
    editor.finish();
    return std::string(disk.text());
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
