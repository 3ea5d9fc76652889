#include "filter.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "../lane/layout.hpp"

namespace stemma::hooks {

namespace {

struct Numbered {
    int number;
    Call call;
};

#if defined(__x86_64__)
constexpr std::uint32_t native_arch = AUDIT_ARCH_X86_64;
constexpr std::uint32_t x32_bit = 0x40000000;
#elif defined(__aarch64__)
constexpr std::uint32_t native_arch = AUDIT_ARCH_AARCH64;
#else
#error "tell the observer this architecture's AUDIT_ARCH_ value"
#endif

constexpr std::array native_calls = {
#ifdef __NR_open
    Numbered{__NR_open, Call::open},
    Numbered{__NR_creat, Call::creat},
    Numbered{__NR_rename, Call::rename},
    Numbered{__NR_link, Call::link},
    Numbered{__NR_symlink, Call::symlink},
#endif
    Numbered{__NR_openat, Call::openat},
    Numbered{__NR_openat2, Call::openat2},
    Numbered{__NR_truncate, Call::truncate},
    Numbered{__NR_execve, Call::execve},
    Numbered{__NR_execveat, Call::execveat},
#ifdef __NR_renameat
    Numbered{__NR_renameat, Call::renameat},
#endif
    Numbered{__NR_renameat2, Call::renameat2},
    Numbered{__NR_linkat, Call::linkat},
    Numbered{__NR_symlinkat, Call::symlinkat},
    Numbered{__NR_chdir, Call::chdir},
    Numbered{__NR_fchdir, Call::chdir},
    Numbered{__NR_exit_group, Call::exit_group},
    Numbered{__NR_io_uring_setup, Call::io_uring},
};

#if defined(__x86_64__)
// 32-bit programs: the numbers of <asm/unistd_32.h>.
constexpr std::array narrow_calls = {Numbered{5, Call::open},
                                     Numbered{8, Call::creat},
                                     Numbered{9, Call::link},
                                     Numbered{11, Call::execve},
                                     Numbered{12, Call::chdir},
                                     Numbered{38, Call::rename},
                                     Numbered{83, Call::symlink},
                                     Numbered{92, Call::truncate},
                                     Numbered{133, Call::chdir},
                                     Numbered{193, Call::truncate},
                                     Numbered{252, Call::exit_group},
                                     Numbered{295, Call::openat},
                                     Numbered{302, Call::renameat},
                                     Numbered{303, Call::linkat},
                                     Numbered{304, Call::symlinkat},
                                     Numbered{353, Call::renameat2},
                                     Numbered{358, Call::execveat},
                                     Numbered{425, Call::io_uring},
                                     Numbered{437, Call::openat2}};
#endif

sock_filter statement(std::uint16_t code, std::uint32_t operand)
{
    return {code, 0, 0, operand};
}

sock_filter jump(std::uint16_t code, std::uint32_t operand, std::uint8_t yes, std::uint8_t no)
{
    return {code, yes, no, operand};
}

constexpr std::uint16_t load_word = BPF_LD | BPF_W | BPF_ABS;
constexpr std::uint16_t jump_equal = BPF_JMP | BPF_JEQ | BPF_K;
constexpr std::uint16_t give = BPF_RET | BPF_K;

/// Position of the address behind the system call's instruction.
constexpr std::uint32_t caller = offsetof(seccomp_data, instruction_pointer);

/// Position of the low half of an argument (little-endian machines).
constexpr std::uint32_t argument(unsigned index)
{
    return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8U * index);
}

/// Notifies of an open, but not of one that reads no content, nor of one for reading from the fast
/// lane's place. Ends.
void append_open(std::vector<sock_filter>& program, unsigned flags_argument, bool has_lane)
{
    constexpr std::uint32_t other = O_ACCMODE | O_CREAT | O_TRUNC;
    constexpr std::uint16_t jump_any = BPF_JMP | BPF_JSET | BPF_K;
    program.push_back(statement(load_word, argument(flags_argument)));
    program.push_back(jump(jump_any, O_DIRECTORY | O_PATH, has_lane ? 6 : 1, 0));
    if (has_lane) {
        program.push_back(jump(jump_any, other, 4, 0));
        program.push_back(statement(load_word, caller));
        program.push_back(jump(jump_equal, lane::return_address, 0, 2));
        program.push_back(statement(load_word, caller + 4));
        program.push_back(jump(jump_equal, lane::return_address >> 32U, 1, 0));
    }
    program.push_back(statement(give, SECCOMP_RET_USER_NOTIF));
    program.push_back(statement(give, SECCOMP_RET_ALLOW));
}

/// Tells the calls of one table from the rest, and ends.
template <std::size_t size>
void append_table(std::vector<sock_filter>& program,
                  const std::array<Numbered, size>& table,
                  bool has_lane)
{
    program.push_back(statement(load_word, offsetof(seccomp_data, nr)));
    for (const auto& row : table) {
        const auto number = static_cast<std::uint32_t>(row.number);
        if (row.call != Call::open && row.call != Call::openat) {
            program.push_back(jump(jump_equal, number, 0, 1));
            program.push_back(statement(give, SECCOMP_RET_USER_NOTIF));
            continue;
        }
        std::vector<sock_filter> open;
        append_open(open, row.call == Call::open ? 1 : 2, has_lane && row.call == Call::openat);
        program.push_back(jump(jump_equal, number, 0, static_cast<std::uint8_t>(open.size())));
        program.insert(program.end(), open.begin(), open.end());
    }
    program.push_back(statement(give, SECCOMP_RET_ALLOW));
}

} // namespace

std::vector<sock_filter> make_filter()
{
    std::vector<sock_filter> native;
#if defined(__x86_64__)
    // The same architecture, other numbers: programs of the x32 ABI.
    native.push_back(statement(load_word, offsetof(seccomp_data, nr)));
    native.push_back(jump(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 0, 1));
    native.push_back(statement(give, SECCOMP_RET_USER_NOTIF));
#endif
    append_table(native, native_calls, true);
    std::vector<sock_filter> program;
    program.push_back(statement(load_word, offsetof(seccomp_data, arch)));
    // The jump is too far for its eight bits when tables grow: an unconditional one has 32.
    program.push_back(jump(jump_equal, native_arch, 0, 1));
    program.push_back(statement(BPF_JMP | BPF_JA, 0)); // patched below
    const std::size_t to_native = program.size() - 1;
#if defined(__x86_64__)
    program.push_back(jump(jump_equal, AUDIT_ARCH_I386, 1, 0));
    program.push_back(statement(give, SECCOMP_RET_ALLOW));
    append_table(program, narrow_calls, false);
#else
    program.push_back(statement(give, SECCOMP_RET_ALLOW));
#endif
    program[to_native].k = static_cast<std::uint32_t>(program.size() - to_native - 1);
    program.insert(program.end(), native.begin(), native.end());
    return program;
}

Call call_of(std::uint32_t arch, int number) noexcept
{
    const auto find = [number](const auto& table) {
        const auto* found = std::find_if(table.begin(), table.end(), [number](const Numbered& row) {
            return row.number == number;
        });
        return found == table.end() ? Call::unknown : found->call;
    };
#if defined(__x86_64__)
    if (arch == AUDIT_ARCH_I386) {
        return find(narrow_calls);
    }
#endif
#if defined(__x86_64__)
    if (arch == native_arch && (static_cast<std::uint32_t>(number) & x32_bit) != 0) {
        return number == -1 ? Call::unknown : Call::x32;
    }
#endif
    return arch == native_arch ? find(native_calls) : Call::unknown;
}

bool is_narrow(std::uint32_t arch) noexcept
{
    return arch == AUDIT_ARCH_I386;
}

} // namespace stemma::hooks
