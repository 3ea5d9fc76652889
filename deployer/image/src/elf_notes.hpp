#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::image {

/// One note of an ELF file (elf(5)): "GNU" 3 is the build-id.
struct ElfNote {
    std::string owner;
    std::uint32_t type = 0;
    std::string value; ///< bytes
};

/// How much of a file's beginning elf_notes() looks at: linkers put notes right after the headers.
inline constexpr std::size_t elf_head_bytes = std::size_t{64} << 10U;

/// The notes in the beginning of a 32 or 64 bit little-endian ELF file; empty for anything else.
/// Every size in it is untrusted; at most 64 notes are given.
std::vector<ElfNote> elf_notes(std::string_view head);

} // namespace stemma::image
