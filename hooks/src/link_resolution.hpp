#pragma once

#include "stemma/core/fd.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "link_line.hpp"

namespace stemma::hooks {

/// A file that a link read, open.
struct LinkedFile {
    Fd fd;
    std::string path; ///< absolute, without links
    std::uint64_t size = 0;
};

/// Which members of one archive a link took.
struct TakenMembers {
    std::string archive; ///< path, without links
    bool thin = false;
    std::vector<std::uint32_t> members; ///< numbers in the archive's own order, ascending
};

struct LinkMembers {
    std::vector<TakenMembers> archives;
    std::string doubt; ///< not empty: why it is not known; `archives` then says nothing
};

/// Finds the file of an input; nullopt when the link did not open any such.
using LinkOpener = std::function<std::optional<LinkedFile>(const LinkInput&)>;

/// Does what the linker did with the symbols of its inputs: objects bring what they define and
/// want, a shared library too, and an archive gives a member for what is still wanted. Nothing is
/// run and nothing is written.
///
/// open    the files must still be as the linker read them
/// output  what the link wrote: where it has its table of symbols it is the check. A symbol in it
///         that only a member defines that was not taken makes every archive doubtful
/// cost    headers and tables of symbols are read, of archives the index and the members taken
/// source  GNU ld's manual, "Options" (-l, --start-group) and bfd's elf_link_add_archive_symbols
LinkMembers
resolve_link(const LinkLine& line, const LinkOpener& open, std::optional<LinkedFile> output);

} // namespace stemma::hooks
