#include "lvm.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/mapped.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "lvm_text.hpp"

namespace stemma::volume {

namespace {

constexpr std::uint64_t sector = 512;
constexpr std::uint64_t most_metadata = std::uint64_t{16} << 20U;
constexpr std::size_t most_volumes = 256;
constexpr std::size_t most_segments = 65536;

/// A place that holds a part of a group.
struct PhysicalVolume {
    std::uint64_t offset = 0; ///< on the disk, bytes
    std::uint64_t length = 0;
    std::string id; ///< 32 letters
    std::string metadata;
};

/// A group's text says "id" with hyphens, the label without.
std::string plain_id(std::string id)
{
    id.erase(std::remove(id.begin(), id.end(), '-'), id.end());
    return id;
}

std::vector<std::byte> read_bytes(Volume& volume, std::uint64_t offset, std::uint64_t length)
{
    std::vector<std::byte> bytes(static_cast<std::size_t>(length));
    volume.read(offset, bytes);
    return bytes;
}

std::string text_of(std::span<const std::byte> bytes)
{
    std::string text(bytes.size(), '\0');
    std::transform(bytes.begin(), bytes.end(), text.begin(), [](std::byte byte) {
        return std::to_integer<char>(byte);
    });
    return text;
}

/// CRC-32 that starts at LVM's own number and is not inverted.
std::uint32_t lvm_crc(std::span<const std::byte> data)
{
    std::uint32_t crc = 0xF597A6CFU;
    for (const std::byte byte : data) {
        crc ^= std::to_integer<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        }
    }
    return crc;
}

[[noreturn]] void refuse(std::string_view why)
{
    throw Error(ErrorCode::corrupt, fmt::format("LVM's label is damaged: {}", why));
}

/// The newest text of one metadata area, which is written round and round.
std::string read_metadata(Volume& region, std::uint64_t area, std::uint64_t size)
{
    if (size < 2 * sector || area > region.size() || size > region.size() - area) {
        refuse("its metadata lies outside");
    }
    const auto head = read_bytes(region, area, sector);
    if (text_of(std::span(head).subspan(4, 16)) != " LVM2 x[5A%r0N*>" ||
        lvm_crc(std::span(head).subspan(4)) != le32(head, 0)) {
        refuse("its metadata's header fails its checksum");
    }
    const std::uint64_t at = le64(head, 40);
    const std::uint64_t length = le64(head, 48);
    if (at == 0 && length == 0) {
        return {}; // an area that is not in use
    }
    if (at < sector || at >= size || length > size - sector || length > most_metadata) {
        refuse("its metadata lies outside");
    }
    const std::uint64_t first = std::min(length, size - at);
    auto bytes = read_bytes(region, area + at, first);
    const auto rest = read_bytes(region, area + sector, length - first);
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    if (lvm_crc(bytes) != le32(head, 56)) {
        refuse("its metadata fails its checksum");
    }
    auto text = text_of(bytes);
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
}

std::optional<PhysicalVolume> read_label(Volume& disk, const Partition& partition)
{
    Mapped region(disk, {{partition.offset, partition.length}}, disk.name());
    for (std::uint64_t at = 0; at < 4 * sector && at + sector <= region.size(); at += sector) {
        const auto label = read_bytes(region, at, sector);
        if (text_of(std::span(label).first(8)) != "LABELONE") {
            continue;
        }
        if (lvm_crc(std::span(label).subspan(20)) != le32(label, 16)) {
            refuse("it fails its checksum");
        }
        std::size_t here = le32(label, 20);
        if (here < 32 || here > sector - 40 - 32) {
            refuse("its header lies outside");
        }
        PhysicalVolume found{.offset = partition.offset,
                             .length = partition.length,
                             .id = text_of(std::span(label).subspan(here, 32)),
                             .metadata = {}};
        // Two lists of (offset, size), each ended by zeros: data, then metadata.
        here += 40;
        for (int list = 0; list < 2 && here + 16 <= sector; here += 16) {
            const std::uint64_t offset = le64(label, here);
            if (offset == 0) {
                ++list;
            } else if (list == 1 && found.metadata.empty()) {
                found.metadata = read_metadata(region, offset, le64(label, here + 8));
            }
        }
        return found;
    }
    return std::nullopt;
}

/// What makes logical volumes of one group's text.
class Group {
public:
    Group(std::string name, const LvmSection& text, const std::vector<PhysicalVolume>& here)
        : name_(std::move(name)), text_(text), extent_(text.number("extent_size") * sector)
    {
        const auto* volumes = text.section("physical_volumes");
        if (extent_ == 0 || volumes == nullptr) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("LVM's group {} says too little of itself", printable(name_)));
        }
        for (const auto& [label, section] : volumes->sections) {
            const auto id = plain_id(section->text("id"));
            const auto found = std::find_if(
                here.begin(), here.end(), [&](const auto& each) { return each.id == id; });
            if (found != here.end()) {
                starts_[label] = {found->offset + section->number("pe_start") * sector,
                                  found->offset + found->length};
            }
        }
    }

    [[nodiscard]] std::vector<Partition> logical_volumes() const
    {
        std::vector<Partition> all;
        const auto* volumes = text_.section("logical_volumes");
        if (volumes == nullptr) {
            return all;
        }
        for (const auto& [name, section] : volumes->sections) {
            const auto status = section->values.find("status");
            const bool visible =
                status != section->values.end() &&
                std::find(status->second.begin(), status->second.end(), "VISIBLE") !=
                    status->second.end();
            if (visible && all.size() < most_volumes) {
                all.push_back(logical_volume(name, *section));
            }
        }
        return all;
    }

private:
    struct Start {
        std::uint64_t offset = 0;
        std::uint64_t end = 0;
    };

    /// Why a segment cannot be read; empty when it can.
    [[nodiscard]] std::string obstacle(const LvmSection& segment) const
    {
        const auto type = segment.text("type");
        if (type != "striped" && type != "linear") {
            return "LVM " + type;
        }
        const auto stripes = segment.values.find("stripes");
        if (segment.number("stripe_count") != 1 || stripes == segment.values.end() ||
            stripes->second.size() != 2) {
            return "LVM striped";
        }
        return starts_.contains(stripes->second[0]) ? "" : "LVM, partly on another disk";
    }

    [[nodiscard]] Piece piece_of(const LvmSection& segment) const
    {
        const auto& stripe = segment.values.at("stripes");
        const Start& start = starts_.at(stripe[0]);
        const std::uint64_t first = parse_unsigned(stripe[1]).value_or(0);
        const std::uint64_t count = segment.number("extent_count");
        const std::uint64_t room =
            start.end > start.offset ? (start.end - start.offset) / extent_ : 0;
        if (count > room || first > room - count) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("LVM's group {}: a segment lies outside of its volume",
                                    printable(name_)));
        }
        return {.offset = start.offset + first * extent_, .length = count * extent_};
    }

    [[nodiscard]] Partition logical_volume(const std::string& name, const LvmSection& volume) const
    {
        Partition result;
        result.label = printable(name_ + "/" + name);
        result.type = "lvm";
        std::map<std::uint64_t, Piece> pieces; // by first extent
        for (const auto& [unused, segment] : volume.sections) {
            result.content = obstacle(*segment);
            if (!result.content.empty()) {
                return result;
            }
            if (pieces.size() >= most_segments) {
                break;
            }
            pieces[segment->number("start_extent")] = piece_of(*segment);
        }
        std::uint64_t next = 0;
        for (const auto& [first, piece] : pieces) {
            if (first != next) {
                result.content = "LVM with holes";
                result.pieces.clear();
                return result;
            }
            next += piece.length / extent_;
            result.pieces.push_back(piece);
            result.length += piece.length;
        }
        result.offset = result.pieces.empty() ? 0 : result.pieces.front().offset;
        return result;
    }

    std::string name_;
    const LvmSection& text_;
    std::uint64_t extent_;
    std::map<std::string, Start> starts_; ///< "pv0" → where its first extent lies
};

std::vector<PhysicalVolume> physical_volumes(Volume& disk, PartitionTable& table)
{
    std::vector<PhysicalVolume> all;
    for (const Partition& partition : table.partitions) {
        if (partition.content != "LVM") {
            continue;
        }
        try {
            if (auto found = read_label(disk, partition)) {
                all.push_back(*std::move(found));
            }
        } catch (const Error& error) {
            table.complaints.push_back(fmt::format(
                "{}: partition {}: {}", disk.name(), partition.number, error.message()));
        }
    }
    return all;
}

void add_group(Volume& disk,
               PartitionTable& table,
               const std::string& metadata,
               const std::vector<PhysicalVolume>& here)
{
    constexpr std::uint32_t first_number = 1001;
    const LvmSection text = parse_lvm_text(metadata);
    for (const auto& [name, section] : text.sections) {
        for (Partition& volume : Group(name, *section, here).logical_volumes()) {
            const auto logical =
                std::count_if(table.partitions.begin(),
                              table.partitions.end(),
                              [](const Partition& each) { return each.type == "lvm"; });
            volume.number = first_number + static_cast<std::uint32_t>(logical);
            if (!volume.pieces.empty()) {
                Mapped region(disk, volume.pieces, volume.label);
                volume.content = sniff_content(region);
            }
            table.partitions.push_back(std::move(volume));
        }
    }
}

} // namespace

void add_logical_volumes(Volume& disk, PartitionTable& table)
{
    const auto here = physical_volumes(disk, table);
    std::vector<std::string> seen;
    for (const PhysicalVolume& each : here) {
        // Every volume of a group carries the same text.
        if (each.metadata.empty() ||
            std::find(seen.begin(), seen.end(), each.metadata) != seen.end()) {
            continue;
        }
        seen.push_back(each.metadata);
        try {
            add_group(disk, table, each.metadata, here);
        } catch (const Error& error) {
            table.complaints.push_back(fmt::format("{}: {}", disk.name(), error.message()));
        }
    }
}

} // namespace stemma::volume
