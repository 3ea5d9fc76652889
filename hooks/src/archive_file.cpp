#include "archive_file.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

namespace stemma::hooks {

namespace {

constexpr std::uint64_t archive_magic_size = 8;
constexpr std::uint64_t member_header_size = 60;
constexpr std::size_t most_members = 500'000;
constexpr std::uint64_t largest_index = std::uint64_t{256} << 20U;

/// A decimal number in a field that blanks fill up.
std::optional<std::uint64_t> number_in(std::string_view field)
{
    field = field.substr(0, field.find_last_not_of(' ') + 1);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size()) {
        return std::nullopt;
    }
    return value;
}

class ArchiveWalk {
public:
    ArchiveWalk(const FilePart& file, bool with_index) : file_(file), with_index_(with_index) {}

    std::optional<ArchiveFile> all()
    {
        const auto magic = file_.read(0, archive_magic_size);
        if (!magic || (*magic != "!<arch>\n" && *magic != "!<thin>\n")) {
            return std::nullopt;
        }
        archive_.thin = *magic == "!<thin>\n";
        std::uint64_t at = archive_magic_size;
        while (at < file_.size()) {
            const auto next = step(at);
            if (!next || archive_.members.size() > most_members) {
                return std::nullopt;
            }
            at = *next;
        }
        if (with_index_) {
            name_symbols();
        }
        return std::move(archive_);
    }

private:
    /// Reads what is at `at`; returns where the next one is.
    std::optional<std::uint64_t> step(std::uint64_t at)
    {
        const auto header = file_.read(at, member_header_size);
        const auto size = header ? number_in(header->substr(48, 10)) : std::nullopt;
        if (!size || header->substr(58, 2) != "`\n") {
            return std::nullopt;
        }
        const auto field = header->substr(0, header->find_last_not_of(' ', 15) + 1);
        const auto start = at + member_header_size;
        const bool special = field == "/" || field == "//" || field == "/SYM64/";
        if (special && !read_special(field, start, *size)) {
            return std::nullopt;
        }
        if (!special && !add_member(field, {{}, at, start, *size})) {
            return std::nullopt;
        }
        const auto inside = special || !archive_.thin ? *size : 0;
        if (inside > file_.size() - start) {
            return std::nullopt;
        }
        return start + inside + (inside & 1U);
    }

    bool read_special(const std::string& field, std::uint64_t start, std::uint64_t size)
    {
        const bool names = field == "//";
        if (!names && !with_index_) {
            return true;
        }
        auto text = size <= largest_index ? file_.read(start, size) : std::nullopt;
        if (!text) {
            return false;
        }
        if (names) {
            long_names_ = std::move(*text);
        } else {
            index_ = std::move(*text);
            index_width_ = field == "/" ? 4 : 8;
        }
        return true;
    }

    bool add_member(const std::string& field, ArchiveFile::Member member)
    {
        if (field.starts_with("#1/")) {
            const auto length = number_in(std::string_view(field).substr(3));
            auto name = length && *length <= 4096 && *length <= member.size
                            ? file_.read(member.start, *length)
                            : std::nullopt;
            if (!name) {
                return false;
            }
            member.start += *length;
            member.size -= *length;
            member.name = name->substr(0, name->find('\0'));
        } else if (field.starts_with('/')) {
            const auto offset = number_in(std::string_view(field).substr(1));
            if (!offset || *offset >= long_names_.size()) {
                return false; // "/12:345" too: a member of an archive within a thin archive
            }
            const auto end = long_names_.find('\n', *offset);
            member.name = long_names_.substr(*offset, end - *offset);
        } else {
            member.name = field;
        }
        if (member.name.ends_with('/')) {
            member.name.pop_back();
        }
        if (member.name == "__.SYMDEF" || member.name == "__.SYMDEF SORTED") {
            return true;
        }
        archive_.members.push_back(std::move(member));
        return true;
    }

    [[nodiscard]] std::optional<std::uint64_t> big_endian(std::uint64_t at) const
    {
        if (at > index_.size() || index_width_ > index_.size() - at) {
            return std::nullopt;
        }
        std::uint64_t value = 0;
        for (std::uint64_t i = 0; i < index_width_; ++i) {
            value = value << 8U | static_cast<unsigned char>(index_[at + i]);
        }
        return value;
    }

    /// The index: how many, the offset of a member's header for each, then the names.
    void name_symbols()
    {
        const auto count = big_endian(0);
        if (!count || *count > index_.size() / (index_width_ + 1)) {
            return;
        }
        std::unordered_map<std::uint64_t, std::uint32_t> by_header;
        for (std::size_t i = 0; i < archive_.members.size(); ++i) {
            by_header[archive_.members[i].header] = static_cast<std::uint32_t>(i);
        }
        std::vector<ArchiveFile::Symbol> symbols;
        symbols.reserve(*count);
        auto name = (*count + 1) * index_width_;
        for (std::uint64_t i = 0; i < *count; ++i) {
            const auto header = big_endian((i + 1) * index_width_);
            const auto end = index_.find('\0', name);
            const auto member = header ? by_header.find(*header) : by_header.end();
            if (end == std::string::npos || member == by_header.end()) {
                return;
            }
            symbols.emplace_back(index_.substr(name, end - name), member->second);
            name = end + 1;
        }
        archive_.symbols = std::move(symbols);
    }

    const FilePart& file_;
    bool with_index_;
    ArchiveFile archive_;
    std::string long_names_;
    std::string index_;
    std::uint64_t index_width_ = 4;
};

std::optional<Digest> hash_of(const FilePart& part)
{
    constexpr std::uint64_t piece = std::uint64_t{1} << 17U;
    Sha256 sha256;
    for (std::uint64_t at = 0; at < part.size(); at += piece) {
        const auto bytes = part.read(at, std::min(piece, part.size() - at));
        if (!bytes) {
            return std::nullopt;
        }
        sha256.update(*bytes);
    }
    return sha256.finish();
}

} // namespace

std::optional<ArchiveFile> read_archive(const FilePart& file)
{
    return ArchiveWalk(file, false).all();
}

std::optional<ArchiveFile> read_archive_index(const FilePart& file)
{
    return ArchiveWalk(file, true).all();
}

std::vector<ArchiveMember> hash_members(const FilePart& file)
{
    const auto archive = read_archive(file);
    const bool is_package =
        archive && !archive->members.empty() && archive->members.front().name == "debian-binary";
    std::vector<ArchiveMember> members;
    if (!archive || archive->thin || is_package) {
        return members;
    }
    members.reserve(archive->members.size());
    for (const auto& member : archive->members) {
        const auto digest = hash_of(file.part(member.start, member.size));
        if (!digest) {
            return {};
        }
        members.push_back({member.name, member.size, *digest});
    }
    return members;
}

} // namespace stemma::hooks
