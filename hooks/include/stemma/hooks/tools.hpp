#pragma once

#include <string>
#include <string_view>
#include <vector>

/// What a program is in a build, by its name. Names only decide how processes are grouped into
/// steps and what a step is called; inputs and outputs never depend on them.
namespace stemma::hooks {

enum class Role {
    compiler,  ///< gcc, clang, rustc, as …: a step with all it starts
    archiver,  ///< ar, ranlib
    linker,    ///< ld and its kind
    copier,    ///< cp, mv, install, ln, strip, objcopy, patchelf …
    packer,    ///< dpkg-deb, tar, cpack …
    installer, ///< cmake --install
    shell,     ///< groups others, and writes little itself
    scheduler, ///< make, ninja, cmake, cargo, go …: runs steps; its own files are book-keeping
    other,     ///< a step of its own
};

/// argv  as it was run; argv[0] or the program's name decides
Role role_of(std::string_view program, const std::vector<std::string>& argv);

/// True for roles whose child processes belong to the same step.
bool swallows_children(Role role) noexcept;

/// True when a program of role `inner` starts a step of its own although a tool of role `outer`
/// runs it: cpack and cmake --install may run a whole build first.
bool starts_own_step(Role outer, Role inner) noexcept;

/// The name behind versions, prefixes and suffixes: "x86_64-linux-gnu-g++-12" is "g++".
std::string plain_tool_name(std::string_view program);

} // namespace stemma::hooks
