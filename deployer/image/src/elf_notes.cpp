#include "elf_notes.hpp"

#include "stemma/core/bytes.hpp"

#include <elf.h>

#include <algorithm>

namespace stemma::image {

namespace {

constexpr std::size_t most_notes = 64;

std::size_t padded(std::uint32_t size)
{
    return (std::size_t{size} + 3) / 4 * 4;
}

void read_area(std::string_view area, std::vector<ElfNote>& notes)
{
    while (notes.size() < most_notes) {
        const auto head = load<Elf64_Nhdr>(area, 0); // the same for 32 bits
        if (!head) {
            return;
        }
        area.remove_prefix(sizeof *head);
        const auto name = padded(head->n_namesz);
        const auto value = padded(head->n_descsz);
        if (name > area.size() || head->n_descsz > area.size() - name) {
            return;
        }
        const auto owner = area.substr(0, head->n_namesz);
        notes.push_back({.owner = std::string(owner.substr(0, owner.find('\0'))),
                         .type = head->n_type,
                         .value = std::string(area.substr(name, head->n_descsz))});
        area.remove_prefix(std::min(name + value, area.size()));
    }
}

template <typename Header, typename Segment>
void read_segments(std::string_view head, std::vector<ElfNote>& notes)
{
    const auto header = load<Header>(head, 0);
    if (!header || header->e_phentsize != sizeof(Segment)) {
        return;
    }
    for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
        const auto segment = load<Segment>(head, header->e_phoff + i * sizeof(Segment));
        if (!segment) {
            return;
        }
        if (segment->p_type == PT_NOTE && segment->p_offset < head.size()) {
            read_area(head.substr(segment->p_offset, segment->p_filesz), notes);
        }
    }
}

} // namespace

std::vector<ElfNote> elf_notes(std::string_view head)
{
    std::vector<ElfNote> notes;
    if (head.size() < EI_NIDENT || !head.starts_with(ELFMAG) || head[EI_DATA] != ELFDATA2LSB) {
        return notes;
    }
    if (head[EI_CLASS] == ELFCLASS64) {
        read_segments<Elf64_Ehdr, Elf64_Phdr>(head, notes);
    } else if (head[EI_CLASS] == ELFCLASS32) {
        read_segments<Elf32_Ehdr, Elf32_Phdr>(head, notes);
    }
    return notes;
}

} // namespace stemma::image
