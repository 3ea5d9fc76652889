#include "program_file.hpp"

#include "stemma/core/fd.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "process_info.hpp"

namespace stemma::hooks {

namespace {

#if defined(__x86_64__)
constexpr std::uint16_t native_machine = EM_X86_64;
constexpr std::string_view loader = "/lib64/ld-linux-x86-64.so.2";
#elif defined(__aarch64__)
constexpr std::uint16_t native_machine = EM_AARCH64;
constexpr std::string_view loader = "/lib/ld-linux-aarch64.so.1";
#else
#error "tell the name of this architecture's loader"
#endif

template <typename T>
bool read_at(int fd, std::uint64_t offset, T& into)
{
    return ::pread(fd, &into, sizeof into, static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(sizeof into);
}

Loading loader_of(int fd, const Elf64_Ehdr& header)
{
    constexpr unsigned most = 64;
    for (unsigned i = 0; i < std::min<unsigned>(header.e_phnum, most); ++i) {
        Elf64_Phdr segment{};
        std::array<char, loader.size()> name{};
        if (read_at(fd, header.e_phoff + std::uint64_t{i} * sizeof segment, segment) &&
            segment.p_type == PT_INTERP) {
            const bool is_ours = segment.p_filesz == name.size() + 1 &&
                                 read_at(fd, segment.p_offset, name) &&
                                 std::string_view(name.data(), name.size()) == loader;
            return is_ours ? Loading::loaded : Loading::other_loader;
        }
    }
    return Loading::is_static;
}

Loading loading_of_file(const std::string& path, uid_t user, gid_t group)
{
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    Elf64_Ehdr header{};
    if (!fd || ::fstat(fd.get(), &info) != 0 || !read_at(fd.get(), 0, header) ||
        std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        return Loading::unknown;
    }
    if (((info.st_mode & S_ISUID) != 0 && info.st_uid != user) ||
        ((info.st_mode & S_ISGID) != 0 && info.st_gid != group)) {
        return Loading::gains_rights;
    }
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != native_machine) {
        return Loading::other_class;
    }
    return loader_of(fd.get(), header);
}

} // namespace

Loading loading_of(const std::string& path, uid_t user, gid_t group)
{
    // A script's interpreter may be a script once more; the kernel goes on for a while, too.
    std::string program = path;
    for (int depth = 0; depth < 4; ++depth) {
        const auto interpreter = interpreter_of(program);
        if (interpreter.program.empty()) {
            break;
        }
        program = interpreter.program;
    }
    return loading_of_file(program, user, group);
}

} // namespace stemma::hooks
