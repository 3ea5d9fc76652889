#include "deb.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <filesystem>

namespace stemma::image {

namespace {

constexpr std::uint64_t most_control = std::uint64_t{16} << 20U;
constexpr archive::Limits control_limits{.max_entries = 1000, .max_bytes = most_control};

std::string absolute(const std::string& path, const std::string& deb)
{
    const auto safe = archive::safe_path(path);
    if (!safe || path.starts_with('/')) {
        throw Error(
            ErrorCode::corrupt,
            fmt::format("{}: the name \"{}\" in it leads out of the tree", deb, printable(path)),
            "such a package is broken or hostile; nothing was changed");
    }
    return "/" + *safe;
}

void read_control(Deb& deb)
{
    auto reader = archive::open_deb(deb.path, archive::DebMember::control, control_limits);
    while (auto entry = reader.next()) {
        if (entry->kind != archive::EntryKind::file) {
            continue;
        }
        const std::string name = absolute(entry->path, deb.path).substr(1);
        if (name.empty() || name.find('/') != std::string::npos) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: an odd member of its control part: {}",
                                    deb.path,
                                    printable(name)));
        }
        deb.members[name] = reader.content_all(most_control);
    }
    const auto control = deb.members.extract("control");
    if (control.empty()) {
        throw Error(ErrorCode::corrupt, fmt::format("{}: it has no control file", deb.path));
    }
    deb.control = Stanza::parse(control.mapped(), deb.path + ": control");
    for (const std::string_view field : {"Package", "Version", "Architecture"}) {
        const std::string value = deb.control.get(field);
        if (value.empty() || value.find_first_of("/ \n") != std::string::npos) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: its control file has no sound {}", deb.path, field));
        }
    }
    if (const auto list = deb.members.find("conffiles"); list != deb.members.end()) {
        for (const std::string_view line : split_lines(list->second)) {
            const auto words = split_words(line);
            if (!words.empty() && words.back().starts_with('/')) {
                deb.conffiles.emplace_back(words.back());
            }
        }
    }
}

/// What a package may unpack to: real ones are some ten times their file, a bomb is thousands.
archive::Limits data_limits(const std::string& path)
{
    constexpr std::uint64_t always = std::uint64_t{1} << 30U;
    constexpr std::uint64_t ratio = 100;
    return {.max_entries = 1'000'000,
            .max_bytes = always + ratio * std::filesystem::file_size(path)};
}

void read_entries(Deb& deb)
{
    auto reader = archive::open_deb(deb.path, archive::DebMember::data, data_limits(deb.path));
    while (auto entry = reader.next()) {
        entry->path = absolute(entry->path, deb.path);
        if (entry->kind == archive::EntryKind::hard_link) {
            entry->link_target = absolute(entry->link_target, deb.path);
        }
        deb.entries.push_back(std::move(*entry));
    }
}

std::string percent_encoded(std::string_view text)
{
    std::string encoded;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == '~';
        encoded +=
            plain ? std::string(1, c)
                  : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
    return encoded;
}

} // namespace

std::string Deb::file_stem() const
{
    return control.get("Multi-Arch") == "same" ? name() + ":" + arch() : name();
}

std::uint64_t Deb::content_size() const
{
    std::uint64_t sum = 0;
    for (const auto& entry : entries) {
        sum += entry.size;
    }
    return sum;
}

Deb read_deb(const std::string& path)
{
    Deb deb;
    deb.path = path;
    deb.sha256 = sha256_file(path).hex();
    read_control(deb);
    read_entries(deb);
    return deb;
}

std::string deb_purl(const std::string& vendor,
                     const std::string& name,
                     const std::string& version,
                     const std::string& arch)
{
    return fmt::format("pkg:deb/{}/{}@{}?arch={}",
                       percent_encoded(vendor),
                       percent_encoded(name),
                       percent_encoded(version),
                       percent_encoded(arch));
}

} // namespace stemma::image
