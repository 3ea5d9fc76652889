#include "stemma/volume/container.hpp"

#include "stemma/core/bytes.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/volume.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace stemma::volume {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t most_virtual = std::uint64_t{1} << 56U;

struct FormatName {
    ContainerFormat format;
    std::string_view word;
};
constexpr std::array format_names = {FormatName{ContainerFormat::raw, "raw"},
                                     FormatName{ContainerFormat::qcow2, "qcow2"},
                                     FormatName{ContainerFormat::vmdk, "vmdk"},
                                     FormatName{ContainerFormat::vpc, "vpc"},
                                     FormatName{ContainerFormat::vhdx, "vhdx"},
                                     FormatName{ContainerFormat::vdi, "vdi"}};

/// A regular file's bytes by offset; what lies behind its end is simply not there.
class HeaderFile {
public:
    explicit HeaderFile(const fs::path& path)
        : path_(path), fd_(open_file(path.string(), O_RDONLY | O_NONBLOCK))
    {
        struct stat info {};
        if (::fstat(fd_.get(), &info) != 0) {
            throw system_error(errno, fmt::format("look at {}", path.string()));
        }
        if (S_ISDIR(info.st_mode)) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} is a folder, not a disk image", path.string()));
        }
        if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
            throw Error(
                ErrorCode::usage,
                fmt::format("{} is neither a regular file nor a block device", path.string()));
        }
        const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
        size_ = end < 0 ? 0 : static_cast<std::uint64_t>(end);
    }

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    /// At most `length` bytes; fewer at the end of the file.
    [[nodiscard]] std::vector<std::byte> read(std::uint64_t offset, std::size_t length) const
    {
        std::vector<std::byte> bytes(length);
        bytes.resize(read_at(fd_.get(), offset, bytes, path_.string()));
        return bytes;
    }

private:
    fs::path path_;
    Fd fd_;
    std::uint64_t size_ = 0;
};

[[noreturn]] void refuse(const Container& container, std::string_view why)
{
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: not a sound {} image: {}",
                            container.path.string(),
                            to_string(container.format),
                            why));
}

std::string text_at(std::span<const std::byte> data, std::size_t at, std::size_t length)
{
    std::string text(length, '\0');
    std::transform(data.begin() + static_cast<std::ptrdiff_t>(at),
                   data.begin() + static_cast<std::ptrdiff_t>(at + length),
                   text.begin(),
                   [](std::byte byte) { return std::to_integer<char>(byte); });
    return text;
}

bool starts_with(std::span<const std::byte> data, std::string_view magic, std::size_t at = 0)
{
    return data.size() >= at + magic.size() && text_at(data, at, magic.size()) == magic;
}

// ---- qcow2: docs/interop/qcow2.txt of QEMU ------------------------------------------------------

constexpr std::uint32_t qcow2_end = 0;
constexpr std::uint32_t qcow2_backing_format = 0xE2792ACA;
constexpr std::uint32_t qcow2_data_file = 0x44415441;

void take_qcow2_extension(Container& container, std::uint32_t kind, const std::string& text)
{
    if (kind == qcow2_data_file) {
        container.data_file = text;
        return;
    }
    container.backing_format = container_format_from(text);
    if (!container.backing_format) {
        refuse(container, fmt::format("its backing format is \"{}\"", printable(text)));
    }
}

void read_qcow2_extensions(const HeaderFile& file,
                           Container& container,
                           std::uint64_t at,
                           std::uint64_t limit)
{
    for (int count = 0; count < 64 && at + 8 <= limit; ++count) {
        const auto head = file.read(at, 8);
        if (head.size() < 8) {
            refuse(container, "its header ends in an extension");
        }
        const std::uint32_t kind = be32(head, 0);
        const std::uint32_t length = be32(head, 4);
        if (kind == qcow2_end) {
            return;
        }
        if (length > limit - at - 8) {
            refuse(container, "a header extension is longer than the header");
        }
        if (kind == qcow2_backing_format || kind == qcow2_data_file) {
            const auto body = file.read(at + 8, std::min<std::uint32_t>(length, 4096));
            take_qcow2_extension(container, kind, text_at(body, 0, body.size()));
        }
        at += 8 + ((std::uint64_t{length} + 7) & ~std::uint64_t{7});
    }
}

void read_qcow2_features(Container& container, std::uint64_t incompatible)
{
    container.dirty = (incompatible & 1U) != 0;
    container.corrupt = (incompatible & 2U) != 0;
    if ((incompatible & 4U) != 0 && !container.data_file) {
        container.data_file = "";
    }
    // Bits 3 (compression type) and 4 (extended L2) change nothing that matters here.
    if ((incompatible & ~std::uint64_t{0x1F}) != 0) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: its qcow2 header needs features that are not known here "
                                "(incompatible bits {:#x})",
                                container.path.string(),
                                incompatible));
    }
}

void inspect_qcow2(const HeaderFile& file, Container& container)
{
    const auto head = file.read(0, 104);
    if (!starts_with(head, "QFI\xfb") || head.size() < 72) {
        refuse(container, "it does not start with a qcow2 header");
    }
    const std::uint32_t version = be32(head, 4);
    const std::uint32_t cluster_bits = be32(head, 20);
    if ((version != 2 && version != 3) || cluster_bits < 9 || cluster_bits > 21 ||
        (version == 3 && head.size() < 104)) {
        refuse(container, fmt::format("version {}, cluster bits {}", version, cluster_bits));
    }
    container.virtual_size = be64(head, 24);
    container.encrypted = be32(head, 32) != 0;
    container.snapshots = be32(head, 60);
    const std::uint64_t l1_offset = be64(head, 40);
    const std::uint64_t l1_bytes = std::uint64_t{be32(head, 36)} * 8;
    if (container.virtual_size > most_virtual || container.snapshots > 65536) {
        refuse(container, "its size or number of snapshots is absurd");
    }
    if (l1_offset > file.size() || l1_bytes > file.size() - l1_offset) {
        refuse(container, "it is cut off: its tables lie behind the end of the file");
    }
    const std::uint64_t cluster = std::uint64_t{1} << cluster_bits;
    const std::uint64_t backing_at = be64(head, 8);
    const std::uint32_t backing_length = be32(head, 16);
    const std::uint64_t header_length = version == 3 ? be32(head, 100) : 72;
    if (header_length < 72 || header_length > cluster) {
        refuse(container, "its header length is absurd");
    }
    if (backing_at != 0) {
        if (backing_length == 0 || backing_length > 1023 || backing_at > cluster - backing_length) {
            refuse(container, "the name of its backing file lies outside of the header");
        }
        const auto name = file.read(backing_at, backing_length);
        container.backing = text_at(name, 0, name.size());
    }
    read_qcow2_extensions(file, container, header_length, backing_at != 0 ? backing_at : cluster);
    if (version == 3) {
        read_qcow2_features(container, be64(head, 72));
    }
}

// ---- vmdk: the descriptor names the files that hold the data ------------------------------------

/// RW 4192256 FLAT "disk-f001.vmdk" 0
void add_extent(std::string_view line, std::uint64_t sectors, Container& container)
{
    const auto from = line.find('"');
    const auto to = line.rfind('"');
    if (from == std::string_view::npos || to <= from) {
        return; // a hole
    }
    VmdkExtent extent{.file = std::string(line.substr(from + 1, to - from - 1)), .least = 0};
    if (line.substr(0, from).find(" FLAT ") != std::string_view::npos ||
        line.substr(0, from).find(" VMFS ") != std::string_view::npos) {
        const auto start = parse_unsigned(trim(line.substr(to + 1))).value_or(0);
        extent.least =
            (std::min(start, most_virtual / 512) + std::min(sectors, most_virtual / 512)) * 512;
    }
    container.extents.push_back(std::move(extent));
}

void read_vmdk_descriptor(const std::string& text, Container& container, bool embedded)
{
    std::uint64_t sectors = 0;
    for (const std::string_view raw : split_lines(text)) {
        const std::string_view line = trim(raw);
        if (line.starts_with("parentCID=") && to_lower(line.substr(10)) != "ffffffff") {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{}: a vmdk that only holds differences to a parent",
                                    container.path.string()),
                        "merge it first: qemu-img convert -f vmdk -O qcow2 FILE NEW.qcow2");
        }
        const bool extent =
            line.starts_with("RW ") || line.starts_with("RDONLY ") || line.starts_with("NOACCESS ");
        if (!extent) {
            continue;
        }
        const auto words = split_words(line);
        const std::uint64_t length =
            words.size() > 1 ? parse_unsigned(words[1]).value_or(0) : std::uint64_t{0};
        sectors += std::min(length, most_virtual / 512);
        if (!embedded) {
            add_extent(line, length, container);
        }
        if (container.extents.size() > 4096 || sectors > most_virtual / 512) {
            refuse(container, "its descriptor has too many extents");
        }
    }
    if (!embedded) {
        container.virtual_size = sectors * 512;
    }
}

void inspect_vmdk(const HeaderFile& file, Container& container)
{
    constexpr std::size_t most_descriptor = std::size_t{1} << 20U;
    const auto head = file.read(0, 512);
    if (starts_with(head, "# Disk DescriptorFile")) {
        const auto text = file.read(0, most_descriptor);
        read_vmdk_descriptor(text_at(text, 0, text.size()), container, false);
        return;
    }
    if (!starts_with(head, "KDMV") || head.size() < 512) {
        refuse(container, "it starts with neither a sparse header nor a descriptor");
    }
    const std::uint64_t capacity = le64(head, 12);
    if (capacity > most_virtual / 512) {
        refuse(container, "its capacity is absurd");
    }
    container.virtual_size = capacity * 512;
    const std::uint64_t at = le64(head, 28);
    const std::uint64_t length = le64(head, 36);
    if (at == 0 || length == 0 || length > most_descriptor / 512 || at > file.size() / 512) {
        return;
    }
    const auto text = file.read(at * 512, static_cast<std::size_t>(length * 512));
    read_vmdk_descriptor(text_at(text, 0, text.size()), container, true);
}

// ---- the plain ones -----------------------------------------------------------------------------

void inspect_vpc(const HeaderFile& file, Container& container)
{
    // A dynamic disk begins with a copy of its footer, but ends with it too: without the end, data
    // may be missing, and would read as zeros.
    const auto head = file.read(file.size() < 512 ? 0 : file.size() - 512, 512);
    if (!starts_with(head, "conectix") || head.size() < 512) {
        refuse(container, "no footer at its end: it may be cut off");
    }
    container.virtual_size = be64(head, 48);
    if (be32(head, 60) == 4) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: a vhd that only holds differences to a parent",
                                container.path.string()));
    }
}

void inspect_vhdx(const HeaderFile& file, Container& container)
{
    if (!starts_with(file.read(0, 8), "vhdxfile")) {
        refuse(container, "it does not start with \"vhdxfile\"");
    }
}

void inspect_vdi(const HeaderFile& file, Container& container)
{
    const auto head = file.read(0, 512);
    if (head.size() < 512 || le32(head, 0x40) != 0xBEDA107FU) {
        refuse(container, "its signature is missing");
    }
    container.virtual_size = le64(head, 0x170);
    const std::uint64_t needed =
        le32(head, 0x158) + std::uint64_t{le32(head, 0x178)} * le32(head, 0x184);
    if (needed > file.size()) {
        refuse(
            container,
            fmt::format("it is cut off: its blocks need {} bytes, it has {}", needed, file.size()));
    }
}

std::optional<ContainerFormat> format_by_name(const fs::path& path)
{
    const std::string extension = to_lower(path.extension().string());
    if (extension == ".vhd") {
        return ContainerFormat::vpc;
    }
    if (extension == ".img") {
        return ContainerFormat::raw;
    }
    return extension.empty() ? std::nullopt : container_format_from(extension.substr(1));
}

} // namespace

std::string_view to_string(ContainerFormat format) noexcept
{
    const auto* row = std::find_if(format_names.begin(), format_names.end(), [&](const auto& each) {
        return each.format == format;
    });
    return row == format_names.end() ? "raw" : row->word;
}

std::optional<ContainerFormat> container_format_from(std::string_view word) noexcept
{
    if (word == "vhd") {
        return ContainerFormat::vpc;
    }
    for (const auto& row : format_names) {
        if (row.word == word) {
            return row.format;
        }
    }
    return std::nullopt;
}

ContainerFormat sniff_container(const fs::path& path)
{
    const HeaderFile file(path);
    const auto head = file.read(0, 512);
    if (starts_with(head, "QFI\xfb")) {
        return ContainerFormat::qcow2;
    }
    if (starts_with(head, "KDMV") || starts_with(head, "COWD") ||
        starts_with(head, "# Disk DescriptorFile")) {
        return ContainerFormat::vmdk;
    }
    if (starts_with(head, "vhdxfile")) {
        return ContainerFormat::vhdx;
    }
    if (head.size() == 512 && le32(head, 0x40) == 0xBEDA107FU) {
        return ContainerFormat::vdi;
    }
    if (starts_with(head, "conectix") ||
        (file.size() >= 512 && starts_with(file.read(file.size() - 512, 8), "conectix"))) {
        return ContainerFormat::vpc;
    }
    return ContainerFormat::raw;
}

ContainerFormat decide_format(const fs::path& path, std::optional<ContainerFormat> given)
{
    if (given) {
        return *given;
    }
    const auto looks = sniff_container(path);
    const auto named = format_by_name(path);
    if (!named) {
        throw Error(ErrorCode::usage,
                    fmt::format("{}: its name does not say which format it has", path.string()),
                    fmt::format("say it; the content looks like {}: --as {}",
                                to_string(looks),
                                to_string(looks)));
    }
    if (*named != looks && *named == ContainerFormat::raw) {
        throw Error(
            ErrorCode::usage,
            fmt::format("{}: named like a raw disk, but it starts with the header of a {} image",
                        path.string(),
                        to_string(looks)),
            fmt::format("if you made it as {}: --as {}. If a guest could write it: --as raw",
                        to_string(looks),
                        to_string(looks)));
    }
    return *named;
}

Container inspect_container(const fs::path& path, ContainerFormat format)
{
    const fs::path whole = fs::absolute(path).lexically_normal();
    const HeaderFile file(whole);
    Container container;
    container.path = whole;
    container.format = format;
    switch (format) {
    case ContainerFormat::raw:
        container.virtual_size = file.size();
        break;
    case ContainerFormat::qcow2:
        inspect_qcow2(file, container);
        break;
    case ContainerFormat::vmdk:
        inspect_vmdk(file, container);
        break;
    case ContainerFormat::vpc:
        inspect_vpc(file, container);
        break;
    case ContainerFormat::vhdx:
        inspect_vhdx(file, container);
        break;
    case ContainerFormat::vdi:
        inspect_vdi(file, container);
        break;
    }
    if (container.virtual_size > most_virtual) {
        refuse(container, "its size is absurd");
    }
    return container;
}

} // namespace stemma::volume
