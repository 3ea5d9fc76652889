#pragma once

#include <optional>
#include <string>
#include <vector>

#include "file_part.hpp"

namespace stemma::hooks {

/// The names by which an object or a shared library is linked to others.
struct ElfSymbols {
    bool shared = false;              ///< a shared library: of its dynamic symbols
    bool intermediate = false;        ///< holds code for link-time optimisation
    std::vector<std::string> defined; ///< global and weak ones, and hidden ones of a linked file
    std::vector<std::string> common;  ///< tentative definitions
    std::vector<std::string>
        wanted; ///< undefined; weak ones are not here: nothing is linked for them
};

/// Which table of a shared library or program.
enum class ElfTable {
    for_linking, ///< of a shared library the dynamic one: what others may link to
    all_symbols, ///< of what was linked, empty when it was stripped
};

/// returns  nullopt: no little-endian ELF file of 32 or 64 bits, damaged, or larger tables than
///          any compiler's (256 MiB, 2 million sections)
std::optional<ElfSymbols> read_elf_symbols(const FilePart& file,
                                           ElfTable table = ElfTable::for_linking);

} // namespace stemma::hooks
