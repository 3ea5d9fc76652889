#include "elf_symbols.hpp"

#include "stemma/core/bytes.hpp"

#include <elf.h>

#include <cstring>

namespace stemma::hooks {

namespace {

constexpr std::uint64_t largest_symbol_table = std::uint64_t{256} << 20U;
constexpr std::uint64_t most_sections = 2'000'000;

struct Wide {
    using Header = Elf64_Ehdr;
    using Section = Elf64_Shdr;
    using Symbol = Elf64_Sym;
};
struct Narrow {
    using Header = Elf32_Ehdr;
    using Section = Elf32_Shdr;
    using Symbol = Elf32_Sym;
};

std::string_view name_at(std::string_view names, std::uint64_t at)
{
    if (at >= names.size()) {
        return {};
    }
    const auto* end = std::memchr(names.data() + at, '\0', names.size() - at);
    return end == nullptr ? std::string_view()
                          : std::string_view(names.data() + at, static_cast<const char*>(end));
}

template <typename Class>
class SymbolReader {
    using Section = typename Class::Section;
    using Symbol = typename Class::Symbol;

public:
    SymbolReader(const FilePart& file, ElfTable table) : file_(file), table_(table) {}

    std::optional<ElfSymbols> all()
    {
        const auto header = file_.value<typename Class::Header>(0);
        if (!header || header->e_shentsize != sizeof(Section) || !read_sections(*header)) {
            return std::nullopt;
        }
        result_.shared = header->e_type == ET_DYN;
        linked_ = header->e_type != ET_REL;
        find_intermediate_code(*header);
        const bool dynamic = result_.shared && table_ == ElfTable::for_linking;
        const auto table = find(dynamic ? SHT_DYNSYM : SHT_SYMTAB);
        if (table && !read_table(*table, dynamic)) {
            return std::nullopt;
        }
        return std::move(result_);
    }

private:
    std::optional<std::string> bytes_of(const Section& section) const
    {
        return section.sh_size <= largest_symbol_table
                   ? file_.read(section.sh_offset, section.sh_size)
                   : std::nullopt;
    }

    Section section(std::uint64_t number) const
    {
        return *load<Section>(sections_, number * sizeof(Section));
    }

    bool read_sections(const typename Class::Header& header)
    {
        count_ = header.e_shnum;
        if (count_ == 0 && header.e_shoff != 0) {
            const auto first = file_.value<Section>(header.e_shoff); // more than 16 bits can say
            count_ = first ? first->sh_size : 0;
        }
        auto bytes = count_ <= most_sections ? file_.read(header.e_shoff, count_ * sizeof(Section))
                                             : std::nullopt;
        if (!bytes) {
            return false;
        }
        sections_ = std::move(*bytes);
        return true;
    }

    std::optional<Section> find(unsigned type) const
    {
        for (std::uint64_t i = 0; i < count_; ++i) {
            if (const auto found = section(i); found.sh_type == type) {
                return found;
            }
        }
        return std::nullopt;
    }

    void find_intermediate_code(const typename Class::Header& header)
    {
        const auto number =
            header.e_shstrndx == SHN_XINDEX && count_ != 0 ? section(0).sh_link : header.e_shstrndx;
        const auto names = number < count_ ? bytes_of(section(number)) : std::nullopt;
        result_.intermediate = names && names->find(".gnu.lto_") != std::string::npos;
    }

    bool read_table(const Section& table, bool dynamic)
    {
        const auto symbols = bytes_of(table);
        const auto names = table.sh_link < count_ ? bytes_of(section(table.sh_link)) : std::nullopt;
        if (!symbols || !names) {
            return false;
        }
        const auto versions = dynamic ? find(SHT_GNU_versym) : std::nullopt;
        const auto hidden = versions ? bytes_of(*versions) : std::nullopt;
        for (std::uint64_t i = 1; i < symbols->size() / sizeof(Symbol); ++i) {
            // The version's top bit: only who asks for it by version gets it.
            const auto version = hidden ? load<std::uint16_t>(*hidden, i * 2) : std::nullopt;
            if ((version.value_or(0) & 0x8000U) == 0) {
                add(*load<Symbol>(*symbols, i * sizeof(Symbol)), *names);
            }
        }
        return true;
    }

    void add(const Symbol& symbol, std::string_view names)
    {
        const auto binding = static_cast<unsigned>(symbol.st_info) >> 4U;
        const auto visibility = static_cast<unsigned>(symbol.st_other) & 3U;
        const bool was_global = linked_ && visibility == STV_HIDDEN;
        if (binding == STB_LOCAL && !was_global) {
            return;
        }
        const auto name = name_at(names, symbol.st_name);
        if (name.empty()) {
            return;
        }
        if (symbol.st_shndx == SHN_COMMON) {
            result_.common.emplace_back(name);
        } else if (symbol.st_shndx != SHN_UNDEF) {
            result_.defined.emplace_back(name);
        } else if (binding != STB_WEAK) {
            result_.wanted.emplace_back(name);
        }
    }

    const FilePart& file_;
    ElfTable table_;
    std::string sections_;
    std::uint64_t count_ = 0;
    bool linked_ = false;
    ElfSymbols result_;
};

} // namespace

std::optional<ElfSymbols> read_elf_symbols(const FilePart& file, ElfTable table)
{
    const auto ident = file.read(0, EI_NIDENT);
    if (!ident || std::memcmp(ident->data(), ELFMAG, SELFMAG) != 0 ||
        (*ident)[EI_DATA] != ELFDATA2LSB) {
        return std::nullopt;
    }
    return (*ident)[EI_CLASS] == ELFCLASS64   ? SymbolReader<Wide>(file, table).all()
           : (*ident)[EI_CLASS] == ELFCLASS32 ? SymbolReader<Narrow>(file, table).all()
                                              : std::nullopt;
}

} // namespace stemma::hooks
