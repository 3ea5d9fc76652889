#include "elf_core.hpp"

#include "stemma/core/error.hpp"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace stemma::analyzer {

namespace {

/// Where the pages begin in the file; the headers and the note fit before.
constexpr std::uint64_t data_start = 16384;
constexpr std::size_t longest_note = 8192;
constexpr std::uint64_t page_size = 4096;

void write_at(
    int fd, std::uint64_t offset, const void* data, std::size_t size, const std::string& name)
{
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0) {
        const auto done = ::pwrite(fd, bytes, size, static_cast<off_t>(offset));
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            throw system_error(errno, fmt::format("write {}", name));
        }
        bytes += done;
        offset += static_cast<std::uint64_t>(done);
        size -= static_cast<std::size_t>(done);
    }
}

std::size_t padded(std::size_t size)
{
    return (size + 3) & ~std::size_t{3};
}

std::string note_of(const std::string& content)
{
    const std::string owner("VMCOREINFO\0", 11);
    Elf64_Nhdr head{};
    head.n_namesz = static_cast<Elf64_Word>(owner.size());
    head.n_descsz = static_cast<Elf64_Word>(content.size());
    std::string note(reinterpret_cast<const char*>(&head),
                     sizeof head); // NOLINT: bytes of a struct
    note += owner;
    note.resize(sizeof head + padded(owner.size()));
    note += content;
    note.resize(sizeof head + padded(owner.size()) + padded(content.size()));
    return note;
}

} // namespace

std::optional<std::uint64_t> low_memory(const std::string& machine, std::uint64_t size)
{
    constexpr std::uint64_t gib = 1ULL << 30U;
    if (machine.find("i440fx") != std::string::npos || machine == "pc") {
        constexpr std::uint64_t hole = 0xe0000000;
        return size >= hole ? 3 * gib : size;
    }
    if (machine.find("q35") != std::string::npos) {
        constexpr std::uint64_t hole = 0xb0000000;
        return size >= hole ? 2 * gib : size;
    }
    // Elsewhere only memory that ends below any hole is placed for certain.
    if (machine.find("microvm") != std::string::npos && size <= 2 * gib) {
        return size;
    }
    return std::nullopt;
}

ElfCore::ElfCore(const std::filesystem::path& file, std::string machine)
    : fd_(open_file(file.string(), O_RDWR | O_CREAT | O_EXCL, 0600)),
      name_(file.string()),
      machine_(std::move(machine))
{
}

void ElfCore::blocks(const std::vector<MemoryBlock>& blocks)
{
    const auto largest = std::max_element(
        blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.size < b.size; });
    if (largest == blocks.end() || !low_memory(machine_, largest->size)) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("the memory layout of machine '{}' is not known", machine_));
    }
    ram_ = static_cast<std::size_t>(largest - blocks.begin());
    size_ = largest->size;
    if (::ftruncate(fd_.get(), static_cast<off_t>(data_start + size_)) != 0) {
        throw system_error(errno, fmt::format("write {}", name_));
    }
}

void ElfCore::page(std::size_t block, std::uint64_t offset, std::string_view content)
{
    if (block != ram_) {
        return;
    }
    ++seen_;
    if (content.empty()) {
        return;
    }
    ++pages_;
    write_at(fd_.get(), data_start + offset, content.data(), content.size(), name_);
    if (vmcoreinfo_.empty() && content.starts_with("OSRELEASE=")) {
        note_vmcoreinfo(content);
    }
}

void ElfCore::note_vmcoreinfo(std::string_view content)
{
    const auto text = content.substr(0, std::min(content.find('\0'), longest_note));
    // The real one names the kernel's symbols; a string in some page cache does not.
    if (text.find("\nSYMBOL(") != std::string_view::npos) {
        vmcoreinfo_ = text;
    }
}

void ElfCore::finish()
{
    if (seen_ * page_size < size_) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("only {} of {} pages of memory came", seen_, size_ / page_size));
    }
    const auto low = *low_memory(machine_, size_);
    const auto note = vmcoreinfo_.empty() ? std::string() : note_of(vmcoreinfo_);
    std::vector<Elf64_Phdr> segments;
    constexpr std::uint64_t note_start = 4096;
    if (!note.empty()) {
        Elf64_Phdr segment{};
        segment.p_type = PT_NOTE;
        segment.p_offset = note_start;
        segment.p_filesz = segment.p_memsz = note.size();
        segments.push_back(segment);
        write_at(fd_.get(), note_start, note.data(), note.size(), name_);
    }
    const auto add = [&](std::uint64_t from, std::uint64_t physical, std::uint64_t size) {
        Elf64_Phdr segment{};
        segment.p_type = PT_LOAD;
        segment.p_offset = data_start + from;
        segment.p_paddr = physical;
        segment.p_filesz = segment.p_memsz = size;
        segments.push_back(segment);
    };
    add(0, 0, low);
    if (size_ > low) {
        add(low, 1ULL << 32U, size_ - low);
    }
    Elf64_Ehdr head{};
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_ident[EI_DATA] = ELFDATA2LSB;
    head.e_ident[EI_VERSION] = EV_CURRENT;
    head.e_type = ET_CORE;
    head.e_machine = EM_X86_64;
    head.e_version = EV_CURRENT;
    head.e_phoff = sizeof head;
    head.e_ehsize = sizeof head;
    head.e_phentsize = sizeof(Elf64_Phdr);
    head.e_phnum = static_cast<Elf64_Half>(segments.size());
    write_at(fd_.get(), 0, &head, sizeof head, name_);
    write_at(fd_.get(), sizeof head, segments.data(), segments.size() * sizeof(Elf64_Phdr), name_);
    if (::fsync(fd_.get()) != 0) {
        throw system_error(errno, fmt::format("flush {}", name_));
    }
}

} // namespace stemma::analyzer
