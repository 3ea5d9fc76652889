#include "stemma/hooks/tools.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

namespace stemma::hooks {

namespace {

struct Known {
    std::string_view name;
    Role role;
};

constexpr std::array known_tools = {Known{"gcc", Role::compiler},
                                    Known{"g++", Role::compiler},
                                    Known{"cc", Role::compiler},
                                    Known{"c++", Role::compiler},
                                    Known{"cpp", Role::compiler},
                                    Known{"c89", Role::compiler},
                                    Known{"c99", Role::compiler},
                                    Known{"clang", Role::compiler},
                                    Known{"clang++", Role::compiler},
                                    Known{"gfortran", Role::compiler},
                                    Known{"gnat", Role::compiler},
                                    Known{"gdc", Role::compiler},
                                    Known{"tcc", Role::compiler},
                                    Known{"ccache", Role::compiler},
                                    Known{"sccache", Role::compiler},
                                    Known{"distcc", Role::compiler},
                                    Known{"cc1", Role::compiler},
                                    Known{"cc1plus", Role::compiler},
                                    Known{"as", Role::compiler},
                                    Known{"nasm", Role::compiler},
                                    Known{"yasm", Role::compiler},
                                    Known{"rustc", Role::compiler},
                                    Known{"nvcc", Role::compiler},
                                    Known{"ocamlopt", Role::compiler},
                                    Known{"ghc", Role::compiler},
                                    Known{"javac", Role::compiler},
                                    Known{"windres", Role::compiler},
                                    Known{"compile", Role::compiler},
                                    Known{"asm", Role::compiler},
                                    Known{"ar", Role::archiver},
                                    Known{"ranlib", Role::archiver},
                                    Known{"gcc-ar", Role::archiver},
                                    Known{"gcc-ranlib", Role::archiver},
                                    Known{"llvm-ar", Role::archiver},
                                    Known{"llvm-ranlib", Role::archiver},
                                    Known{"ld", Role::linker},
                                    Known{"ld.bfd", Role::linker},
                                    Known{"ld.gold", Role::linker},
                                    Known{"ld.lld", Role::linker},
                                    Known{"ld.mold", Role::linker},
                                    Known{"gold", Role::linker},
                                    Known{"lld", Role::linker},
                                    Known{"mold", Role::linker},
                                    Known{"link", Role::linker},
                                    Known{"collect2", Role::linker},
                                    Known{"cp", Role::copier},
                                    Known{"mv", Role::copier},
                                    Known{"ln", Role::copier},
                                    Known{"install", Role::copier},
                                    Known{"rsync", Role::copier},
                                    Known{"strip", Role::copier},
                                    Known{"objcopy", Role::copier},
                                    Known{"patchelf", Role::copier},
                                    Known{"chrpath", Role::copier},
                                    Known{"dwz", Role::copier},
                                    Known{"debugedit", Role::copier},
                                    Known{"llvm-strip", Role::copier},
                                    Known{"llvm-objcopy", Role::copier},
                                    Known{"dpkg-deb", Role::packer},
                                    Known{"tar", Role::packer},
                                    Known{"bsdtar", Role::packer},
                                    Known{"cpio", Role::packer},
                                    Known{"zip", Role::packer},
                                    Known{"cpack", Role::packer},
                                    Known{"rpmbuild", Role::packer},
                                    Known{"gzip", Role::packer},
                                    Known{"xz", Role::packer},
                                    Known{"zstd", Role::packer},
                                    Known{"sh", Role::shell},
                                    Known{"dash", Role::shell},
                                    Known{"bash", Role::shell},
                                    Known{"ksh", Role::shell},
                                    Known{"zsh", Role::shell},
                                    Known{"busybox", Role::shell},
                                    Known{"env", Role::shell},
                                    Known{"nice", Role::shell},
                                    Known{"time", Role::shell},
                                    Known{"timeout", Role::shell},
                                    Known{"xargs", Role::shell},
                                    Known{"libtool", Role::shell},
                                    Known{"fakeroot", Role::shell},
                                    Known{"make", Role::scheduler},
                                    Known{"gmake", Role::scheduler},
                                    Known{"ninja", Role::scheduler},
                                    Known{"samu", Role::scheduler},
                                    Known{"cmake", Role::scheduler},
                                    Known{"ctest", Role::scheduler},
                                    Known{"meson", Role::scheduler},
                                    Known{"cargo", Role::scheduler},
                                    Known{"go", Role::scheduler},
                                    Known{"bazel", Role::scheduler},
                                    Known{"scons", Role::scheduler},
                                    Known{"dh", Role::scheduler},
                                    Known{"dpkg-buildpackage", Role::scheduler},
                                    Known{"debuild", Role::scheduler},
                                    Known{"faked", Role::scheduler},
                                    Known{"stemma", Role::scheduler}};

std::string_view base_name(std::string_view path)
{
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

const Known* find_known(std::string_view name)
{
    const auto* found = std::find_if(
        known_tools.begin(), known_tools.end(), [&](const Known& row) { return row.name == name; });
    return found == known_tools.end() ? nullptr : found;
}

bool is_version(std::string_view text)
{
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || c == '.';
    });
}

/// cmake is many programs: the words after it say which.
Role cmake_role(const std::vector<std::string>& argv)
{
    for (std::size_t i = 1; i < argv.size(); ++i) {
        if (argv[i] == "--install") {
            return Role::installer;
        }
        if (argv[i] == "-P" && i + 1 < argv.size()) {
            return base_name(argv[i + 1]) == "cmake_install.cmake" ? Role::installer : Role::other;
        }
        if (argv[i] == "-E" && i + 1 < argv.size()) {
            const std::string_view verb = argv[i + 1];
            if (verb == "copy" || verb == "copy_if_different" || verb == "copy_directory" ||
                verb == "rename" || verb == "create_symlink" || verb == "create_hardlink") {
                return Role::copier;
            }
            return verb == "tar" ? Role::packer : Role::scheduler;
        }
    }
    return Role::scheduler;
}

/// meson runs custom commands through itself, and captures what they print: each is a step.
Role meson_role(const std::vector<std::string>& argv)
{
    const bool internal = argv.size() > 2 && argv[1] == "--internal" && argv[2] != "regenerate";
    return internal ? Role::other : Role::scheduler;
}

} // namespace

std::string plain_tool_name(std::string_view program)
{
    auto name = base_name(program);
    if (const auto dash = name.rfind('-');
        dash != std::string_view::npos && dash != 0 && is_version(name.substr(dash + 1))) {
        name = name.substr(0, dash);
    }
    if (find_known(name) != nullptr) {
        return std::string(name);
    }
    // "x86_64-linux-gnu-gcc": the longest known name after a dash.
    for (auto dash = name.find('-'); dash != std::string_view::npos;
         dash = name.find('-', dash + 1)) {
        if (find_known(name.substr(dash + 1)) != nullptr) {
            return std::string(name.substr(dash + 1));
        }
    }
    return std::string(name);
}

Role role_of(std::string_view program, const std::vector<std::string>& argv)
{
    const auto called = argv.empty() ? std::string(program) : plain_tool_name(argv.front());
    const Known* known = find_known(called);
    if (known == nullptr) {
        known = find_known(plain_tool_name(program));
    }
    if (known == nullptr) {
        return called == "cmake" ? cmake_role(argv) : Role::other;
    }
    if (known->name == "meson") {
        return meson_role(argv);
    }
    return known->name == "cmake" ? cmake_role(argv) : known->role;
}

bool swallows_children(Role role) noexcept
{
    switch (role) {
    case Role::compiler:
    case Role::archiver:
    case Role::linker:
    case Role::copier:
    case Role::packer:
    case Role::installer:
        return true;
    case Role::shell:
    case Role::scheduler:
    case Role::other:
        return false;
    }
    return false;
}

bool starts_own_step(Role outer, Role inner) noexcept
{
    const bool outer_is_last = outer == Role::packer || outer == Role::installer;
    return outer_is_last && (inner == Role::scheduler || inner == Role::compiler ||
                             inner == Role::archiver || inner == Role::linker);
}

} // namespace stemma::hooks
