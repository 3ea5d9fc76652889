#include "stemma/hooks/content.hpp"

#include "stemma/core/text.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

namespace stemma::hooks {

namespace {

template <typename T>
bool read_at(int fd, std::uint64_t offset, T& into)
{
    return ::pread(fd, &into, sizeof into, static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(sizeof into);
}

/// The build-id in one area of notes, or an empty text.
std::string build_id_in(std::string_view notes)
{
    while (notes.size() >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note{};
        std::memcpy(&note, notes.data(), sizeof note);
        const std::uint64_t name = (std::uint64_t{note.n_namesz} + 3) & ~std::uint64_t{3};
        const std::uint64_t value = (std::uint64_t{note.n_descsz} + 3) & ~std::uint64_t{3};
        if (sizeof note + name + value > notes.size()) {
            return {};
        }
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
            notes.substr(sizeof note, 3) == "GNU") {
            return to_hex(notes.substr(sizeof note + name, note.n_descsz));
        }
        notes.remove_prefix(sizeof note + name + value);
    }
    return {};
}

std::string notes_at(int fd, std::uint64_t offset, std::uint64_t size)
{
    std::string notes(std::min<std::uint64_t>(size, 65536), '\0');
    const auto got = ::pread(fd, notes.data(), notes.size(), static_cast<off_t>(offset));
    notes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return build_id_in(notes);
}

/// True when one of a dynamic segment's entries is the flag of a position-independent program.
template <typename Dynamic>
bool says_pie(int fd, std::uint64_t offset, std::uint64_t size)
{
    constexpr std::uint64_t most = 65536;
    for (std::uint64_t at = 0; at + sizeof(Dynamic) <= std::min(size, most);
         at += sizeof(Dynamic)) {
        Dynamic entry{};
        if (!read_at(fd, offset + at, entry) || entry.d_tag == DT_NULL) {
            return false;
        }
        if (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_PIE) != 0) {
            return true;
        }
    }
    return false;
}

/// Shared libraries and position-independent programs have the same type: an interpreter or the
/// PIE flag tells them apart.
template <typename Header, typename Segment, typename Dynamic>
void read_segments(int fd, const Header& header, Content& content)
{
    constexpr unsigned most = 256;
    bool is_program = false;
    for (unsigned i = 0; i < std::min<unsigned>(header.e_phnum, most); ++i) {
        Segment segment{};
        if (!read_at(fd, header.e_phoff + std::uint64_t{i} * sizeof segment, segment)) {
            break;
        }
        if (segment.p_type == PT_NOTE && content.build_id.empty()) {
            content.build_id = notes_at(fd, segment.p_offset, segment.p_filesz);
        }
        is_program = is_program || segment.p_type == PT_INTERP ||
                     (segment.p_type == PT_DYNAMIC &&
                      says_pie<Dynamic>(fd, segment.p_offset, segment.p_filesz));
    }
    if (header.e_type == ET_DYN) {
        content.kind = is_program ? 'x' : 's';
    }
}

void read_elf(int fd, Content& content)
{
    std::array<unsigned char, EI_NIDENT> ident{};
    if (!read_at(fd, 0, ident)) {
        return;
    }
    if (std::memcmp(ident.data(), "!<arch>\n", 8) == 0 ||
        std::memcmp(ident.data(), "!<thin>\n", 8) == 0) {
        content.kind = 'a';
        return;
    }
    if (std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0 || ident[EI_DATA] != ELFDATA2LSB) {
        return;
    }
    Elf64_Ehdr wide{};
    Elf32_Ehdr narrow{};
    const bool is_wide = ident[EI_CLASS] == ELFCLASS64;
    if (is_wide ? !read_at(fd, 0, wide) : !read_at(fd, 0, narrow)) {
        return;
    }
    const unsigned type = is_wide ? wide.e_type : narrow.e_type;
    content.kind = type == ET_REL ? 'o' : type == ET_EXEC ? 'x' : type == ET_DYN ? 's' : 'd';
    if (is_wide) {
        read_segments<Elf64_Ehdr, Elf64_Phdr, Elf64_Dyn>(fd, wide, content);
    } else {
        read_segments<Elf32_Ehdr, Elf32_Phdr, Elf32_Dyn>(fd, narrow, content);
    }
}

bool hash_all(int fd, bool with_blob, ContentIds& ids)
{
    Sha256 sha256;
    Sha1 sha1;
    if (with_blob) {
        sha1.update("blob " + std::to_string(ids.size)).update(std::string_view("\0", 1));
    }
    std::vector<char> buffer(std::clamp<std::size_t>(ids.size + 1, 4096, std::size_t{1} << 17U));
    std::uint64_t done = 0;
    for (;;) {
        const auto got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return false;
        }
        if (got == 0) {
            break;
        }
        const std::string_view data(buffer.data(), static_cast<std::size_t>(got));
        sha256.update(data);
        if (with_blob) {
            sha1.update(data);
        }
        done += data.size();
        if (done > ids.size) {
            return false;
        }
    }
    ids.sha256 = sha256.finish();
    if (with_blob) {
        ids.blob = sha1.finish_hex();
    }
    return done == ids.size;
}

} // namespace

std::optional<Content> content_of(int fd, bool with_blob) noexcept
{
    try {
        struct stat info {};
        if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
            return std::nullopt;
        }
        Content content;
        content.ids.size = static_cast<std::uint64_t>(info.st_size);
        read_elf(fd, content);
        const bool binary = content.kind != 'd';
        if (!hash_all(fd, with_blob && !binary, content.ids)) {
            return std::nullopt;
        }
        return content;
    } catch (...) { // NOLINT(bugprone-empty-catch): out of memory reads as "cannot be read"
        return std::nullopt;
    }
}

std::optional<Content> read_content(const std::string& path, bool with_blob) noexcept
{
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    return fd ? content_of(fd.get(), with_blob) : std::nullopt;
}

} // namespace stemma::hooks
