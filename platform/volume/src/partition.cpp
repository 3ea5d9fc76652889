#include "stemma/volume/partition.hpp"

#include "stemma/core/error.hpp"
#include "stemma/volume/mapped.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "lvm.hpp"

namespace stemma::volume {

namespace {

constexpr std::uint64_t sector = 512;
constexpr std::size_t most_partitions = 256;

std::uint32_t crc32(std::span<const std::byte> data) noexcept
{
    std::uint32_t crc = 0xFFFFFFFFU;
    for (const std::byte byte : data) {
        crc ^= std::to_integer<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        }
    }
    return ~crc;
}

std::vector<std::byte> read_bytes(Volume& disk, std::uint64_t offset, std::size_t length)
{
    std::vector<std::byte> bytes(length);
    disk.read(offset, bytes);
    return bytes;
}

bool has_text(std::span<const std::byte> data, std::size_t at, std::string_view text)
{
    return data.size() >= at + text.size() &&
           std::equal(text.begin(),
                      text.end(),
                      data.begin() + static_cast<std::ptrdiff_t>(at),
                      [](char a, std::byte b) { return a == std::to_integer<char>(b); });
}

std::string guid_text(std::span<const std::byte> data, std::size_t at)
{
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(data[at + i]); };
    return fmt::format("{:08x}-{:04x}-{:04x}-{:02x}{:02x}-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}",
                       le32(data, at),
                       le16(data, at + 4),
                       le16(data, at + 6),
                       byte(8),
                       byte(9),
                       byte(10),
                       byte(11),
                       byte(12),
                       byte(13),
                       byte(14),
                       byte(15));
}

/// GPT names are UTF-16; what is not ASCII is shown as "?".
std::string gpt_name(std::span<const std::byte> entry)
{
    std::string name;
    for (std::size_t at = 56; at + 1 < 128; at += 2) {
        const std::uint16_t unit = le16(entry, at);
        if (unit == 0) {
            break;
        }
        name.push_back(unit >= 0x20 && unit < 0x7F ? static_cast<char>(unit) : '?');
    }
    return name;
}

// ---- GPT: UEFI specification 2.10, chapter 5.3 --------------------------------------------------

struct GptHeader {
    std::uint64_t entries_at = 0; ///< byte
    std::uint32_t count = 0;
    std::uint32_t entry_size = 0;
    std::uint64_t block = sector;
};

/// The header at a logical block when it and its entries pass their checksums.
std::optional<GptHeader> sound_gpt(Volume& disk, std::uint64_t at, std::uint64_t block)
{
    if (at > disk.size() || disk.size() - at < block) {
        return std::nullopt;
    }
    auto head = read_bytes(disk, at, sector);
    const std::uint32_t length = le32(head, 12);
    if (!has_text(head, 0, "EFI PART") || length < 92 || length > sector) {
        return std::nullopt;
    }
    const std::uint32_t wanted = le32(head, 16);
    put_le32(head, 16, 0);
    if (crc32(std::span(head).first(length)) != wanted) {
        return std::nullopt;
    }
    GptHeader header{.entries_at = le64(head, 72) * block,
                     .count = le32(head, 80),
                     .entry_size = le32(head, 84),
                     .block = block};
    if (le64(head, 72) > disk.size() / block || header.entry_size < 128 ||
        header.entry_size > 4096 || header.count > 1024) {
        return std::nullopt;
    }
    const std::uint64_t bytes = std::uint64_t{header.count} * header.entry_size;
    if (bytes > disk.size() || header.entries_at > disk.size() - bytes) {
        return std::nullopt;
    }
    const auto entries = read_bytes(disk, header.entries_at, static_cast<std::size_t>(bytes));
    if (crc32(entries) != le32(head, 88)) {
        return std::nullopt;
    }
    return header;
}

void add_partition(Volume& disk, PartitionTable& table, Partition partition)
{
    const auto complain = [&](std::string_view why) {
        table.complaints.push_back(
            fmt::format("{}: partition {} {}", disk.name(), partition.number, why));
    };
    if (partition.length == 0 || partition.offset >= disk.size()) {
        complain("lies beyond the end of the disk");
        return;
    }
    if (partition.length > disk.size() - partition.offset) {
        complain("reaches beyond the end of the disk");
        return;
    }
    for (const Partition& other : table.partitions) {
        if (partition.offset < other.offset + other.length &&
            other.offset < partition.offset + partition.length) {
            complain(fmt::format("overlaps partition {}", other.number));
            return;
        }
    }
    if (table.partitions.size() < most_partitions) {
        table.partitions.push_back(std::move(partition));
    }
}

void read_gpt_entries(Volume& disk, const GptHeader& header, PartitionTable& table)
{
    for (std::uint32_t i = 0; i < header.count; ++i) {
        const auto entry = read_bytes(
            disk, header.entries_at + std::uint64_t{i} * header.entry_size, header.entry_size);
        const bool unused = std::all_of(
            entry.begin(), entry.begin() + 16, [](std::byte b) { return b == std::byte{0}; });
        if (unused) {
            continue;
        }
        const std::uint64_t first = le64(entry, 32);
        const std::uint64_t last = le64(entry, 40);
        if (last < first || last >= (std::uint64_t{1} << 50U)) {
            table.complaints.push_back(
                fmt::format("{}: partition {} ends before it begins", disk.name(), i + 1));
            continue;
        }
        add_partition(disk,
                      table,
                      {.number = i + 1,
                       .offset = first * header.block,
                       .length = (last - first + 1) * header.block,
                       .type = guid_text(entry, 0),
                       .label = gpt_name(entry),
                       .content = {}});
    }
}

std::optional<PartitionTable> read_gpt(Volume& disk, bool expected)
{
    for (const std::uint64_t block : {sector, std::uint64_t{4096}}) {
        if (disk.size() < 3 * block) {
            continue;
        }
        auto header = sound_gpt(disk, block, block);
        const bool backup = !header;
        if (backup) {
            header = sound_gpt(disk, (disk.size() / block - 1) * block, block);
        }
        if (header) {
            PartitionTable table;
            table.kind = PartitionTable::Kind::gpt;
            table.from_backup = backup;
            read_gpt_entries(disk, *header, table);
            return table;
        }
    }
    if (expected) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: its partition table (GPT) is damaged, and so is the backup",
                                disk.name()));
    }
    return std::nullopt;
}

// ---- MBR ----------------------------------------------------------------------------------------

bool is_extended(std::uint8_t type)
{
    return type == 0x05 || type == 0x0F || type == 0x85;
}

struct MbrEntry {
    std::uint8_t status = 0;
    std::uint8_t type = 0;
    std::uint64_t first = 0; ///< sectors
    std::uint64_t count = 0;
};

MbrEntry mbr_entry(std::span<const std::byte> block, std::size_t index)
{
    const std::size_t at = 446 + 16 * index;
    return {.status = std::to_integer<std::uint8_t>(block[at]),
            .type = std::to_integer<std::uint8_t>(block[at + 4]),
            .first = le32(block, at + 8),
            .count = le32(block, at + 12)};
}

Partition mbr_partition(const MbrEntry& entry, std::uint32_t number, std::uint64_t base)
{
    return {.number = number,
            .offset = (base + entry.first) * sector,
            .length = entry.count * sector,
            .type = fmt::format("0x{:02x}", entry.type),
            .label = {},
            .content = {}};
}

void read_logical(Volume& disk, const MbrEntry& extended, PartitionTable& table)
{
    std::uint64_t here = extended.first;
    for (std::uint32_t number = 5; number < 5 + 128; ++number) {
        if (here * sector > disk.size() - sector) {
            table.complaints.push_back(
                fmt::format("{}: an extended partition lies beyond the end", disk.name()));
            return;
        }
        const auto block = read_bytes(disk, here * sector, sector);
        if (le16(block, 510) != 0xAA55) {
            return;
        }
        const MbrEntry entry = mbr_entry(block, 0);
        if (entry.type != 0 && entry.count != 0) {
            add_partition(disk, table, mbr_partition(entry, number, here));
        }
        const MbrEntry next = mbr_entry(block, 1);
        // Each link must go forward: a circle would have to go back.
        if (!is_extended(next.type) || extended.first + next.first <= here) {
            return;
        }
        here = extended.first + next.first;
    }
}

std::optional<PartitionTable> read_mbr(Volume& disk, std::span<const std::byte> block)
{
    PartitionTable table;
    table.kind = PartitionTable::Kind::mbr;
    std::optional<MbrEntry> extended;
    for (std::size_t i = 0; i < 4; ++i) {
        const MbrEntry entry = mbr_entry(block, i);
        if (entry.status != 0 && entry.status != 0x80) {
            return std::nullopt; // a boot sector's code, not a table
        }
        if (entry.type == 0 || entry.count == 0) {
            continue;
        }
        if (is_extended(entry.type)) {
            extended = entry;
            continue;
        }
        add_partition(disk, table, mbr_partition(entry, static_cast<std::uint32_t>(i + 1), 0));
    }
    if (extended) {
        read_logical(disk, *extended, table);
    }
    if (table.partitions.empty() && table.complaints.empty()) {
        return std::nullopt;
    }
    return table;
}

bool says_gpt(std::span<const std::byte> block)
{
    for (std::size_t i = 0; i < 4; ++i) {
        if (mbr_entry(block, i).type == 0xEE) {
            return true;
        }
    }
    return false;
}

// ---- what a region holds ------------------------------------------------------------------------

std::string ext_version(std::span<const std::byte> superblock)
{
    constexpr std::uint32_t has_journal = 0x4;
    constexpr std::uint32_t ext3_incompatible = 0x2 | 0x4 | 0x8 | 0x10;
    constexpr std::uint32_t ext3_ro = 0x1 | 0x2 | 0x4;
    if ((le32(superblock, 96) & 0x8U) != 0) {
        return "ext-journal";
    }
    if ((le32(superblock, 96) & ~ext3_incompatible) != 0 ||
        (le32(superblock, 100) & ~ext3_ro) != 0) {
        return "ext4";
    }
    return (le32(superblock, 92) & has_journal) != 0 ? "ext3" : "ext2";
}

struct Magic {
    std::uint64_t at;
    std::string_view text;
    std::string_view content;
};

constexpr std::array magics = {
    Magic{0, "XFSB", "xfs"},
    Magic{0x10040, "_BHRfS_M", "btrfs"},
    Magic{0, "LUKS\xba\xbe", "LUKS"},
    Magic{512, "LABELONE", "LVM"},
    Magic{0, "LABELONE", "LVM"},
    Magic{1024, "LABELONE", "LVM"},
    Magic{1536, "LABELONE", "LVM"},
    Magic{4096, "\xfc\x4e\x2b\xa9", "RAID"},
    Magic{0, "\xfc\x4e\x2b\xa9", "RAID"},
    Magic{0, "hsqs", "squashfs"},
    Magic{3, "NTFS    ", "ntfs"},
    Magic{3, "EXFAT   ", "exfat"},
    Magic{82, "FAT32   ", "vfat"},
    Magic{54, "FAT16   ", "vfat"},
    Magic{54, "FAT12   ", "vfat"},
    Magic{4086, "SWAPSPACE2", "swap"},
    Magic{4086, "SWAP-SPACE", "swap"},
    Magic{1024, "\x10\x20\xf5\xf2", "f2fs"},
    Magic{0x8001, "CD001", "iso9660"},
    Magic{4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "bcachefs"},
};

bool is_zero(std::span<const std::byte> data, std::size_t at, std::size_t length)
{
    return data.size() >= at + length &&
           std::all_of(data.begin() + static_cast<std::ptrdiff_t>(at),
                       data.begin() + static_cast<std::ptrdiff_t>(at + length),
                       [](std::byte byte) { return byte == std::byte{0}; });
}

/// An ext file system whose superblock was zeroed still has copies of it in its second group. Only
/// zeros are taken for that: anything else means that somebody put something else there.
std::string backup_of_ext(Volume& region)
{
    constexpr std::array<std::uint64_t, 3> places = {
        std::uint64_t{32768} * 4096, std::uint64_t{8193} * 1024, std::uint64_t{16384} * 2048};
    for (const std::uint64_t place : places) {
        if (place + 1024 > region.size()) {
            continue;
        }
        const auto copy = read_bytes(region, place, 1024);
        if (le16(copy, 56) == 0xEF53 && le16(copy, 90) == 1) {
            return ext_version(copy);
        }
    }
    return {};
}

void name_contents(Volume& disk, PartitionTable& table)
{
    for (Partition& partition : table.partitions) {
        Mapped region(disk, {{partition.offset, partition.length}}, disk.name());
        partition.content = sniff_content(region);
    }
}

} // namespace

std::string describe(const Partition& partition)
{
    if (partition.number == 0) {
        return "the whole disk";
    }
    return partition.type == "lvm" ? "logical volume " + partition.label
                                   : fmt::format("partition {}", partition.number);
}

std::vector<Piece> pieces_of(const Partition& partition)
{
    return partition.pieces.empty()
               ? std::vector<Piece>{{.offset = partition.offset, .length = partition.length}}
               : partition.pieces;
}

std::string_view to_string(PartitionTable::Kind kind) noexcept
{
    switch (kind) {
    case PartitionTable::Kind::none:
        break;
    case PartitionTable::Kind::mbr:
        return "mbr";
    case PartitionTable::Kind::gpt:
        return "gpt";
    }
    return "none";
}

std::string sniff_content(Volume& region)
{
    constexpr std::uint64_t most = 0x11000;
    const auto head = read_bytes(
        region, 0, static_cast<std::size_t>(std::min<std::uint64_t>(most, region.size())));
    if (head.size() >= 2048 && le16(head, 1024 + 56) == 0xEF53) {
        return ext_version(std::span(head).subspan(1024));
    }
    for (const Magic& magic : magics) {
        if (has_text(head, static_cast<std::size_t>(magic.at), magic.text)) {
            return std::string(magic.content);
        }
    }
    return is_zero(head, 1024, 1024) ? backup_of_ext(region) : "";
}

namespace {

PartitionTable read_table(Volume& disk)
{
    PartitionTable whole;
    whole.partitions.push_back(
        {.number = 0, .offset = 0, .length = disk.size(), .type = {}, .label = {}, .content = {}});
    if (disk.size() < 2 * sector) {
        return whole;
    }
    whole.partitions.front().content = sniff_content(disk);
    const auto block = read_bytes(disk, 0, sector);
    const bool signature = le16(block, 510) == 0xAA55;
    // A filesystem or volume that starts at the disk's first byte leaves no room for a table,
    // except for what a hybrid ISO or an older use of the disk left behind under a GPT.
    if (!whole.partitions.front().content.empty() &&
        whole.partitions.front().content != "iso9660" && !(signature && says_gpt(block))) {
        return whole;
    }
    if (auto table = read_gpt(disk, signature && says_gpt(block))) {
        name_contents(disk, *table);
        return std::move(*table);
    }
    if (signature) {
        if (auto table = read_mbr(disk, block)) {
            name_contents(disk, *table);
            return std::move(*table);
        }
    }
    return whole;
}

} // namespace

PartitionTable read_partitions(Volume& disk)
{
    PartitionTable table = read_table(disk);
    add_logical_volumes(disk, table);
    return table;
}

} // namespace stemma::volume
