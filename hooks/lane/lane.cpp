/// The library on the fast lane: see layout.hpp. Starts once per compile, so it needs no C++
/// runtime, no allocation and no symbol look-up but errno's.
///
/// It changes no result: an open that it cannot log is done again in the ordinary way, with the
/// observer asked.

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "layout.hpp"
#include "raw_call.hpp"

#define STEMMA_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

namespace lane = stemma::hooks::lane;
using stemma::hooks::is_error;
using stemma::hooks::raw_call;

/// A system call from the place that the filter lets pass. This file is compiled without a red
/// zone: the call writes below the stack pointer.
long unasked(long number, long a, long b, long c, long d = 0)
{
    register long fourth asm("r10") = d;
    long result = number;
    asm volatile("call *%[code]"
                 : "+a"(result)
                 : [code] "r"(lane::code_address), "D"(a), "S"(b), "d"(c), "r"(fourth)
                 : "rcx", "r11", "memory");
    return result;
}

struct Log {
    char* begin = nullptr; ///< null: not on the lane
    long owner = 0;        ///< process id: a child does not write into its parent's log
    char busy = 0;         ///< another thread, or a signal's handler, is at it
};
constinit Log log_of_process;

lane::LogHead& head()
{
    return *reinterpret_cast<lane::LogHead*>(log_of_process.begin);
}

bool take_log()
{
    return !__atomic_test_and_set(&log_of_process.busy, __ATOMIC_ACQUIRE);
}

void leave_log()
{
    __atomic_clear(&log_of_process.busy, __ATOMIC_RELEASE);
}

constexpr unsigned long low_half = 0xffffffffUL;

/// False when there is no room.
bool append(const char* path, unsigned long path_size, const struct stat& info)
{
    const unsigned long tail = head().tail;
    const unsigned long at = tail & low_half;
    const unsigned long size = (sizeof(lane::LogEntry) + path_size + 7) & ~7UL;
    if (at + size > lane::log_bytes) {
        return false;
    }
    const auto number = [](auto value) { return static_cast<unsigned long>(value); };
    const lane::LogEntry entry = {size,
                                  path_size,
                                  number(info.st_dev),
                                  number(info.st_ino),
                                  number(info.st_size),
                                  number(info.st_mtim.tv_sec),
                                  number(info.st_mtim.tv_nsec),
                                  number(info.st_ctim.tv_sec),
                                  number(info.st_ctim.tv_nsec)};
    memcpy(log_of_process.begin + at, &entry, sizeof entry);
    memcpy(log_of_process.begin + at + sizeof entry, path, path_size);
    __atomic_store_n(&head().tail, tail + size, __ATOMIC_RELEASE);
    return true;
}

/// The observer was asked just now, with the log in our hands: it has read all that was there.
void begin_anew()
{
    const unsigned long round = (head().tail >> 32U) + 1;
    __atomic_store_n(&head().tail, (round << 32U) | sizeof(lane::LogHead), __ATOMIC_RELEASE);
}

int answer(long result)
{
    if (result < 0) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return static_cast<int>(result);
}

long open_ordinarily(int folder, const char* path, int flags, mode_t mode)
{
    return raw_call(SYS_openat, folder, reinterpret_cast<long>(path), flags, mode);
}

/// What an open file is goes into the log; else it is opened again, and the observer is asked.
long logged(long fd, const char* path, int flags)
{
    struct stat info {};
    if (raw_call(SYS_fstat, fd, reinterpret_cast<long>(&info), 0) != 0 || !S_ISREG(info.st_mode)) {
        return fd;
    }
    const bool is_owner = raw_call(SYS_getpid, 0, 0, 0) == log_of_process.owner;
    const bool taken = is_owner && take_log();
    if (taken && append(path, strlen(path), info)) {
        leave_log();
        return fd;
    }
    raw_call(SYS_close, fd, 0, 0);
    const long again = open_ordinarily(AT_FDCWD, path, flags, 0);
    if (taken) {
        begin_anew();
        leave_log();
    }
    return again;
}

bool only_reads(int flags)
{
    constexpr int other = O_ACCMODE | O_CREAT | O_TRUNC | O_PATH | O_DIRECTORY | O_TMPFILE;
    return (flags & other) == O_RDONLY;
}

int open_any(int folder, const char* path, int flags, mode_t mode)
{
    const bool is_ours = log_of_process.begin != nullptr && only_reads(flags) && path != nullptr &&
                         (folder == AT_FDCWD || *path == '/');
    if (!is_ours) {
        return answer(open_ordinarily(folder, path, flags, mode));
    }
    const long fd = unasked(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), flags);
    return answer(fd < 0 ? fd : logged(fd, path, flags));
}

/// "r", "rb", "re": what fdopen() makes the same stream of.
bool reads_plainly(const char* mode)
{
    if (*mode != 'r') {
        return false;
    }
    while (*++mode == 'b' || *mode == 'e') {
    }
    return *mode == '\0';
}

FILE* open_stream(const char* path, const char* mode, const char* name)
{
    if (log_of_process.begin == nullptr || !reads_plainly(mode)) {
        using Open = FILE* (*)(const char*, const char*);
        const auto real = reinterpret_cast<Open>(::dlsym(RTLD_NEXT, name));
        if (real == nullptr) {
            errno = ENOSYS;
            return nullptr;
        }
        return real(path, mode);
    }
    const int closes = strchr(mode, 'e') != nullptr ? O_CLOEXEC : 0;
    const int fd = open_any(AT_FDCWD, path, O_RDONLY | closes, 0);
    if (fd < 0) {
        return nullptr;
    }
    FILE* stream = ::fdopen(fd, mode);
    if (stream == nullptr) {
        raw_call(SYS_close, fd, 0, 0);
    }
    return stream;
}

/// The variable gets its own name back: what the tool runs is not on the lane by inheritance.
void quieten(char** environment)
{
    for (; environment != nullptr && *environment != nullptr; ++environment) {
        if (strncmp(*environment, lane::loud_name, lane::name_size) == 0 &&
            (*environment)[lane::name_size] == '=') {
            memcpy(*environment, lane::idle_name, lane::name_size);
        }
    }
}

bool put_code()
{
    constexpr long page = 4096;
    constexpr unsigned char code[] = {0x0f, 0x05, 0xc3}; // syscall; ret
    const long address = static_cast<long>(lane::code_address);
    const long got = raw_call(SYS_mmap,
                              address,
                              page,
                              PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                              -1);
    if (got != address) {
        if (!is_error(got)) { // a kernel before 4.17 takes the address for a wish
            raw_call(SYS_munmap, got, page, 0);
        }
        return false;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a place that was chosen
    memcpy(reinterpret_cast<void*>(address), code, sizeof code);
    return raw_call(SYS_mprotect, address, page, PROT_READ | PROT_EXEC) == 0;
}

__attribute__((constructor)) void begin(int /*count*/, char** /*arguments*/, char** environment)
{
    quieten(environment);
    const long fd = open_ordinarily(AT_FDCWD, lane::hello_path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    const long log = raw_call(
        SYS_mmap, 0, static_cast<long>(lane::log_bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    raw_call(SYS_close, fd, 0, 0);
    if (!is_error(log) && put_code()) {
        log_of_process.owner = raw_call(SYS_getpid, 0, 0, 0);
        // NOLINTNEXTLINE(performance-no-int-to-ptr): what mmap(2) gave
        log_of_process.begin = reinterpret_cast<char*>(log);
    }
}

mode_t mode_behind(int flags, va_list arguments)
{
    const bool has_mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return has_mode ? va_arg(arguments, mode_t) : 0;
}

} // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): other names than the C
// library's

STEMMA_EXPORT int open(const char* path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_behind(flags, arguments);
    va_end(arguments);
    return open_any(AT_FDCWD, path, flags, mode);
}

STEMMA_EXPORT int open64(const char* path, int flags, ...) __attribute__((alias("open")));

STEMMA_EXPORT int openat(int folder, const char* path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_behind(flags, arguments);
    va_end(arguments);
    return open_any(folder, path, flags, mode);
}

STEMMA_EXPORT int openat64(int folder, const char* path, int flags, ...)
    __attribute__((alias("openat")));

STEMMA_EXPORT int __open_2(const char* path, int flags) // NOLINT: the C library's name
{
    return open_any(AT_FDCWD, path, flags, 0);
}

STEMMA_EXPORT int __open64_2(const char* path, int flags) // NOLINT: the C library's name
{
    return open_any(AT_FDCWD, path, flags, 0);
}

STEMMA_EXPORT FILE* fopen(const char* path, const char* mode)
{
    return open_stream(path, mode, "fopen");
}

STEMMA_EXPORT FILE* fopen64(const char* path, const char* mode)
{
    return open_stream(path, mode, "fopen64");
}

// NOLINTEND(readability-inconsistent-declaration-parameter-name)
