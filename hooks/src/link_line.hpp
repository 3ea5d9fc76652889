#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::hooks {

/// How a linker looks for what is undefined.
enum class LinkOrder {
    in_place, ///< GNU ld, gold: an archive serves what was undefined when its turn came
    lazy,     ///< lld: an archive serves what comes after it too
};

/// One input of a link, in the order of the command line.
struct LinkInput {
    std::string name;           ///< a path as written, or the X of -lX
    bool library = false;       ///< -l: looked for in folders
    bool whole = false;         ///< --whole-archive: every member
    bool as_needed = false;     ///< a shared library counts only if something is found in it
    bool archives_only = false; ///< -Bstatic: -l finds no shared library
    int group = 0;              ///< archives of one number are searched in turns; 0: of none
};

/// A linker's command line, as far as it decides which members of archives are linked. Words that
/// are not known are passed over: what the linker did not open is no input anyway.
struct LinkLine {
    LinkOrder order = LinkOrder::in_place;
    std::vector<LinkInput> inputs;
    std::vector<std::string> folders; ///< of -L, in order
    std::vector<std::string> wanted;  ///< -u: symbols to begin with
    std::vector<std::string> wrapped; ///< --wrap
    std::vector<std::string> defined; ///< --defsym
    std::string sysroot;              ///< what "=" at the beginning of a folder stands for
    std::string output = "a.out";
    std::string doubt; ///< not empty: why this cannot tell which members are linked
};

LinkLine read_link_line(const std::vector<std::string>& argv);

/// A linker script among the inputs: "libc.so" is one. Its INPUT, GROUP and AS_NEEDED, in order;
/// EXTERN's symbols go to `wanted`.
/// first_group  number that its first GROUP gets; counted on
/// returns      nullopt: no text
std::optional<std::vector<LinkInput>>
read_link_script(std::string_view text, std::vector<std::string>& wanted, int& first_group);

} // namespace stemma::hooks
