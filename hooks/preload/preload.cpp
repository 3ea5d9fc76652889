/// The library of the fallback: in every dynamic program of a build where the kernel notifies of no
/// system calls. It stands before the C library's functions, tells the observer, and calls them.
///
/// It does not see static programs, system calls that go past the C library, and files that the C
/// library opens for itself; the observer declares the first two as far as it can know of them.

#include <alloca.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "../lane/raw_call.hpp"
#include "tell.hpp"

#define STEMMA_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

namespace preload = stemma::hooks::preload;
using preload::Answer;
using preload::Event;
using preload::Kind;
using stemma::hooks::is_error;
using stemma::hooks::raw;
using stemma::hooks::raw_call;

constexpr const char* preload_name = "LD_PRELOAD";

/// The function of this name that we stand before.
template <typename Function>
Function next(Function& known, const char* name)
{
    if (known == nullptr) {
        known = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
    }
    return known;
}

// ---- files

bool only_reads(int flags)
{
    return (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY;
}

bool has_no_content(int flags)
{
    return (flags & (O_PATH | O_DIRECTORY)) != 0;
}

/// Before the call: what will be written is looked at as it was.
void before_open(int folder, const char* path, int flags)
{
    if (path != nullptr && !only_reads(flags) && !has_no_content(flags)) {
        preload::tell_and_wait(
            {.kind = Kind::opens, .folder = folder, .path = path, .flags = flags});
    }
}

/// After the call: most opens for reading fail, and tell nothing.
void after_open(int folder, const char* path, int flags, bool worked)
{
    if (!worked || path == nullptr || !only_reads(flags) || has_no_content(flags)) {
        return;
    }
    const Event event{.kind = Kind::opened, .folder = folder, .path = path, .flags = flags};
    if (folder == AT_FDCWD || *path == '/') {
        preload::tell(event);
    } else {
        preload::tell_and_wait(event); // the folder may be closed a moment later
    }
}

int flags_of(const char* mode)
{
    const int all = *mode == 'r' ? 0 : *mode == 'w' ? O_CREAT | O_TRUNC : O_CREAT | O_APPEND;
    const int access = strchr(mode, '+') != nullptr ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
    return all | access;
}

mode_t mode_behind(int flags, va_list arguments)
{
    const bool has_mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return has_mode ? va_arg(arguments, mode_t) : 0;
}

template <typename Open>
int open_told(Open open, int folder, const char* path, int flags)
{
    before_open(folder, path, flags);
    const int fd = open();
    after_open(folder, path, flags, fd >= 0);
    return fd;
}

template <typename Open>
FILE* stream_told(Open open, const char* path, const char* mode)
{
    const int flags = flags_of(mode);
    before_open(AT_FDCWD, path, flags);
    FILE* stream = open();
    after_open(AT_FDCWD, path, flags, stream != nullptr);
    return stream;
}

/// A new file whose name the C library chose.
int made(int fd, const char* path)
{
    if (fd >= 0) {
        preload::tell_and_wait(
            {.kind = Kind::opens, .path = path, .flags = O_RDWR | O_CREAT | O_TRUNC});
    }
    return fd;
}

// ---- programs

/// Room for a program's variables with ours among them; on the caller's stack, because this runs
/// between vfork and exec.
struct Variables {
    char** list;
    char* preload;
    char* address;
};

unsigned long count_of(char* const* list)
{
    unsigned long count = 0;
    while (list != nullptr && list[count] != nullptr) {
        ++count;
    }
    return count;
}

const char* value_of(const char* entry, const char* name)
{
    const auto length = strlen(name);
    return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1 : nullptr;
}

const char* find_variable(char* const* list, const char* name)
{
    for (; list != nullptr && *list != nullptr; ++list) {
        if (const char* value = value_of(*list, name)) {
            return value;
        }
    }
    return nullptr;
}

constexpr unsigned long room_of_preload = 2 * preload::longest_path;

/// The value of LD_PRELOAD: what a program says of it stays in front of our library.
/// value  the texts of both fit in
void fill_value(char* value, const char* theirs, bool alone)
{
    const char* library = preload::library();
    const char* at = strstr(theirs, library);
    strcpy(value, theirs); // NOLINT: there is room
    if (at == nullptr && !alone) {
        strcat(strcat(value, *theirs == '\0' ? "" : ":"), library); // NOLINT: there is room
    } else if (at != nullptr && alone) {
        const char* behind = at + strlen(library);
        const bool separates = *behind == ':' || *behind == ' ';
        strcpy(value + (at - theirs), behind + (separates ? 1 : 0)); // NOLINT: shorter than before
    }
}

/// The variables with our two as they have to be.
void fill(Variables& room, char* const* given, bool alone)
{
    const char* theirs = find_variable(given, preload_name);
    char** to = room.list;
    for (; given != nullptr && *given != nullptr; ++given) {
        if (value_of(*given, preload_name) == nullptr &&
            value_of(*given, preload::variable) == nullptr) {
            *to++ = *given;
        }
    }
    theirs = theirs == nullptr ? "" : theirs;
    strcpy(room.preload, "LD_PRELOAD="); // NOLINT: there is room
    char* value = room.preload + strlen(room.preload);
    if (strlen(theirs) + strlen(preload::library()) + 16 < room_of_preload) {
        fill_value(value, theirs, alone);
    }
    if (*value != '\0') {
        *to++ = room.preload;
    }
    strcat(strcat(strcpy(room.address, preload::variable), "="), preload::address()); // NOLINT
    *to++ = room.address;
    *to = nullptr;
}

#define STEMMA_VARIABLES(name, given)                                                              \
    Variables name                                                                                 \
    {                                                                                              \
        static_cast<char**>(alloca((count_of(given) + 3) * sizeof(char*))),                        \
            static_cast<char*>(alloca(room_of_preload)),                                           \
            static_cast<char*>(alloca(preload::longest_path + 64))                                 \
    }

/// The program that execvp() would find; the name itself when there is none.
const char* found_in_path(const char* name, char* room)
{
    if (name == nullptr || *name == '\0' || strchr(name, '/') != nullptr) {
        return name;
    }
    const char* path = getenv("PATH"); // NOLINT(concurrency-mt-unsafe): as execvp() does
    for (const char* from = path == nullptr ? "/bin:/usr/bin" : path; from != nullptr;) {
        const char* colon = strchr(from, ':');
        const auto size =
            colon == nullptr ? strlen(from) : static_cast<unsigned long>(colon - from);
        if (size + strlen(name) + 2 < preload::longest_path) {
            memcpy(room, from, size);
            strcpy(room + size, size == 0 ? "" : "/"); // NOLINT: there is room
            strcat(room, name);                        // NOLINT: there is room
            if (raw_call(SYS_faccessat, AT_FDCWD, raw(room), X_OK) == 0) {
                return room;
            }
        }
        from = colon == nullptr ? nullptr : colon + 1;
    }
    return name;
}

bool tells()
{
    return *preload::library() != '\0';
}

int execute(int folder, const char* path, char* const* argv, char* const* variables)
{
    static decltype(&::execveat) real;
    if (!tells()) {
        return next(real, "execveat")(folder, path, argv, variables, 0);
    }
    const auto answer = preload::tell_and_wait(
        {.kind = Kind::executes, .folder = folder, .path = path, .list = argv});
    STEMMA_VARIABLES(ours, variables);
    fill(ours, variables, answer == Answer::alone);
    static decltype(&::execve) real_execve;
    return folder == AT_FDCWD ? next(real_execve, "execve")(path, argv, ours.list)
                              : next(real, "execveat")(folder, path, argv, ours.list, 0);
}

using PathExec = int (*)(const char*, char* const*, char* const*);

/// execvpe() runs a text file without "#!" with the shell: only the C library's own does that
/// right.
int execute_from_path(const char* name, char* const* argv, char* const* variables)
{
    static PathExec real;
    char* room = static_cast<char*>(alloca(preload::longest_path + 64));
    const auto answer =
        tells() ? preload::tell_and_wait(
                      {.kind = Kind::executes, .path = found_in_path(name, room), .list = argv})
                : Answer::go_on;
    if (!tells()) {
        return next(real, "execvpe")(name, argv, variables);
    }
    STEMMA_VARIABLES(ours, variables);
    fill(ours, variables, answer == Answer::alone);
    return next(real, "execvpe")(name, argv, ours.list);
}

using Spawn = decltype(&::posix_spawn);

struct SpawnCall {
    pid_t* pid;
    const char* name;
    const posix_spawn_file_actions_t* actions;
    const posix_spawnattr_t* attributes;
    char* const* argv;
    char* const* variables;
};

int spawn(Spawn real, const SpawnCall& call, const char* path)
{
    if (!tells()) {
        return real(call.pid, call.name, call.actions, call.attributes, call.argv, call.variables);
    }
    const auto answer = preload::tell_and_wait({.kind = Kind::spawns, .path = path});
    STEMMA_VARIABLES(ours, call.variables);
    fill(ours, call.variables, answer == Answer::alone);
    return real(call.pid, call.name, call.actions, call.attributes, call.argv, ours.list);
}

unsigned long count_arguments(va_list arguments)
{
    unsigned long count = 1;
    while (va_arg(arguments, char*) != nullptr) {
        ++count;
    }
    return count;
}

// ---- this program's beginning and end

int tell_library(dl_phdr_info* info, size_t /*size*/, void* /*unused*/)
{
    if (info->dlpi_name == nullptr || *info->dlpi_name != '/' ||
        strcmp(info->dlpi_name, preload::library()) == 0) {
        return 0;
    }
    preload::tell({.kind = Kind::opened, .path = info->dlpi_name, .flags = O_RDONLY});
    if (strstr(info->dlpi_name, "/liburing.so") != nullptr) {
        preload::tell({.kind = Kind::hole, .path = "uses io_uring: its opens are not seen"});
    }
    return 0;
}

/// The last handler of all, since it was the first to be registered. What is still in buffers is
/// written now, so that the observer sees the files as they will be.
void at_end(int status, void* /*unused*/)
{
    ::fflush(nullptr);
    ::dl_iterate_phdr(tell_library, nullptr); // some came later
    preload::tell_and_wait({.kind = Kind::exits, .flags = status & 0xff});
}

__attribute__((constructor)) void begin(int /*count*/, char** arguments, char** environment)
{
    preload::find_observer(environment);
    if (!tells()) {
        return;
    }
    preload::tell_and_wait({.kind = Kind::started, .list = arguments});
    ::dl_iterate_phdr(tell_library, nullptr);
    ::on_exit(at_end, nullptr);
}

} // namespace

// NOLINTBEGIN: the C library's names and shapes

STEMMA_EXPORT int open(const char* path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_behind(flags, arguments);
    va_end(arguments);
    static decltype(&::open) real;
    return open_told([&] { return next(real, "open")(path, flags, mode); }, AT_FDCWD, path, flags);
}

STEMMA_EXPORT int open64(const char* path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_behind(flags, arguments);
    va_end(arguments);
    static decltype(&::open64) real;
    return open_told(
        [&] { return next(real, "open64")(path, flags, mode); }, AT_FDCWD, path, flags);
}

STEMMA_EXPORT int openat(int folder, const char* path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_behind(flags, arguments);
    va_end(arguments);
    static decltype(&::openat) real;
    return open_told(
        [&] { return next(real, "openat")(folder, path, flags, mode); }, folder, path, flags);
}

STEMMA_EXPORT int openat64(int folder, const char* path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_behind(flags, arguments);
    va_end(arguments);
    static decltype(&::openat64) real;
    return open_told(
        [&] { return next(real, "openat64")(folder, path, flags, mode); }, folder, path, flags);
}

STEMMA_EXPORT int __open_2(const char* path, int flags)
{
    return open(path, flags);
}

STEMMA_EXPORT int __open64_2(const char* path, int flags)
{
    return open64(path, flags);
}

STEMMA_EXPORT int __openat_2(int folder, const char* path, int flags)
{
    return openat(folder, path, flags);
}

STEMMA_EXPORT int __openat64_2(int folder, const char* path, int flags)
{
    return openat64(folder, path, flags);
}

STEMMA_EXPORT int creat(const char* path, mode_t mode)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

STEMMA_EXPORT int creat64(const char* path, mode_t mode)
{
    return open64(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

STEMMA_EXPORT FILE* fopen(const char* path, const char* mode)
{
    static decltype(&::fopen) real;
    return stream_told([&] { return next(real, "fopen")(path, mode); }, path, mode);
}

STEMMA_EXPORT FILE* fopen64(const char* path, const char* mode)
{
    static decltype(&::fopen64) real;
    return stream_told([&] { return next(real, "fopen64")(path, mode); }, path, mode);
}

STEMMA_EXPORT FILE* freopen(const char* path, const char* mode, FILE* stream)
{
    static decltype(&::freopen) real;
    return stream_told([&] { return next(real, "freopen")(path, mode, stream); }, path, mode);
}

STEMMA_EXPORT FILE* freopen64(const char* path, const char* mode, FILE* stream)
{
    static decltype(&::freopen64) real;
    return stream_told([&] { return next(real, "freopen64")(path, mode, stream); }, path, mode);
}

STEMMA_EXPORT int mkstemp(char* path)
{
    static decltype(&::mkstemp) real;
    return made(next(real, "mkstemp")(path), path);
}

STEMMA_EXPORT int mkstemp64(char* path)
{
    static decltype(&::mkstemp64) real;
    return made(next(real, "mkstemp64")(path), path);
}

STEMMA_EXPORT int mkostemp(char* path, int flags)
{
    static decltype(&::mkostemp) real;
    return made(next(real, "mkostemp")(path, flags), path);
}

STEMMA_EXPORT int mkostemp64(char* path, int flags)
{
    static decltype(&::mkostemp64) real;
    return made(next(real, "mkostemp64")(path, flags), path);
}

STEMMA_EXPORT int mkstemps(char* path, int suffix)
{
    static decltype(&::mkstemps) real;
    return made(next(real, "mkstemps")(path, suffix), path);
}

STEMMA_EXPORT int mkstemps64(char* path, int suffix)
{
    static decltype(&::mkstemps64) real;
    return made(next(real, "mkstemps64")(path, suffix), path);
}

STEMMA_EXPORT int truncate(const char* path, off_t size) noexcept
{
    static decltype(&::truncate) real;
    before_open(AT_FDCWD, path, O_WRONLY);
    return next(real, "truncate")(path, size);
}

STEMMA_EXPORT int truncate64(const char* path, off64_t size) noexcept
{
    static decltype(&::truncate64) real;
    before_open(AT_FDCWD, path, O_WRONLY);
    return next(real, "truncate64")(path, size);
}

STEMMA_EXPORT int rename(const char* from, const char* to) noexcept
{
    static decltype(&::rename) real;
    preload::tell_and_wait({.kind = Kind::renames, .path = from, .second = to});
    return next(real, "rename")(from, to);
}

STEMMA_EXPORT int
renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept
{
    static decltype(&::renameat) real;
    preload::tell_and_wait({.kind = Kind::renames,
                            .folder = from_folder,
                            .path = from,
                            .second_folder = to_folder,
                            .second = to});
    return next(real, "renameat")(from_folder, from, to_folder, to);
}

STEMMA_EXPORT int
renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept
{
    static decltype(&::renameat2) real;
    preload::tell_and_wait({.kind = Kind::renames,
                            .folder = from_folder,
                            .path = from,
                            .flags = static_cast<int>(flags),
                            .second_folder = to_folder,
                            .second = to});
    return next(real, "renameat2")(from_folder, from, to_folder, to, flags);
}

STEMMA_EXPORT int link(const char* from, const char* to) noexcept
{
    static decltype(&::link) real;
    preload::tell_and_wait({.kind = Kind::links, .path = from, .second = to});
    return next(real, "link")(from, to);
}

STEMMA_EXPORT int
linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept
{
    static decltype(&::linkat) real;
    preload::tell_and_wait({.kind = Kind::links,
                            .folder = from_folder,
                            .path = from,
                            .second_folder = to_folder,
                            .second = to});
    return next(real, "linkat")(from_folder, from, to_folder, to, flags);
}

STEMMA_EXPORT int symlink(const char* from, const char* to) noexcept
{
    static decltype(&::symlink) real;
    preload::tell_and_wait({.kind = Kind::symlinks, .path = from, .second = to});
    return next(real, "symlink")(from, to);
}

STEMMA_EXPORT int symlinkat(const char* from, int to_folder, const char* to) noexcept
{
    static decltype(&::symlinkat) real;
    preload::tell_and_wait(
        {.kind = Kind::symlinks, .path = from, .second_folder = to_folder, .second = to});
    return next(real, "symlinkat")(from, to_folder, to);
}

STEMMA_EXPORT int chdir(const char* path) noexcept
{
    static decltype(&::chdir) real;
    preload::tell_and_wait({.kind = Kind::changes_folder});
    return next(real, "chdir")(path);
}

STEMMA_EXPORT int fchdir(int fd) noexcept
{
    static decltype(&::fchdir) real;
    preload::tell_and_wait({.kind = Kind::changes_folder});
    return next(real, "fchdir")(fd);
}

STEMMA_EXPORT int execve(const char* path, char* const* argv, char* const* variables) noexcept
{
    return execute(AT_FDCWD, path, argv, variables);
}

STEMMA_EXPORT int execv(const char* path, char* const* argv) noexcept
{
    return execute(AT_FDCWD, path, argv, environ);
}

STEMMA_EXPORT int execveat(
    int folder, const char* path, char* const* argv, char* const* variables, int flags) noexcept
{
    static decltype(&::execveat) real;
    if (flags != 0) {
        preload::tell({.kind = Kind::hole, .path = "ran a program by its open file"});
        return next(real, "execveat")(folder, path, argv, variables, flags);
    }
    return execute(folder, path, argv, variables);
}

STEMMA_EXPORT int execvpe(const char* name, char* const* argv, char* const* variables) noexcept
{
    return execute_from_path(name, argv, variables);
}

STEMMA_EXPORT int execvp(const char* name, char* const* argv) noexcept
{
    return execute_from_path(name, argv, environ);
}

// execl and its kind: their arguments, in a list.
#define STEMMA_LIST_ARGUMENTS(argv, first)                                                         \
    va_list counted;                                                                               \
    va_start(counted, first);                                                                      \
    const unsigned long count = count_arguments(counted);                                          \
    va_end(counted);                                                                               \
    char** argv = static_cast<char**>(alloca((count + 1) * sizeof(char*)));                        \
    va_list arguments;                                                                             \
    va_start(arguments, first);                                                                    \
    argv[0] = const_cast<char*>(first);                                                            \
    for (unsigned long i = 1; i <= count; ++i) {                                                   \
        argv[i] = va_arg(arguments, char*);                                                        \
    }

STEMMA_EXPORT int execl(const char* path, const char* first, ...) noexcept
{
    STEMMA_LIST_ARGUMENTS(argv, first)
    va_end(arguments);
    return execute(AT_FDCWD, path, argv, environ);
}

STEMMA_EXPORT int execlp(const char* name, const char* first, ...) noexcept
{
    STEMMA_LIST_ARGUMENTS(argv, first)
    va_end(arguments);
    return execute_from_path(name, argv, environ);
}

STEMMA_EXPORT int execle(const char* path, const char* first, ...) noexcept
{
    STEMMA_LIST_ARGUMENTS(argv, first)
    char* const* variables = va_arg(arguments, char* const*);
    va_end(arguments);
    return execute(AT_FDCWD, path, argv, variables);
}

STEMMA_EXPORT int posix_spawn(pid_t* pid,
                              const char* path,
                              const posix_spawn_file_actions_t* actions,
                              const posix_spawnattr_t* attributes,
                              char* const* argv,
                              char* const* variables)
{
    static decltype(&::posix_spawn) real;
    return spawn(
        next(real, "posix_spawn"), {pid, path, actions, attributes, argv, variables}, path);
}

STEMMA_EXPORT int posix_spawnp(pid_t* pid,
                               const char* name,
                               const posix_spawn_file_actions_t* actions,
                               const posix_spawnattr_t* attributes,
                               char* const* argv,
                               char* const* variables)
{
    static decltype(&::posix_spawnp) real;
    char* room = static_cast<char*>(alloca(preload::longest_path + 64));
    return spawn(next(real, "posix_spawnp"),
                 {pid, name, actions, attributes, argv, variables},
                 found_in_path(name, room));
}

STEMMA_EXPORT int dlclose(void* library) noexcept
{
    static decltype(&::dlclose) real;
    ::dl_iterate_phdr(tell_library, nullptr); // at the end it will be gone
    return next(real, "dlclose")(library);
}

STEMMA_EXPORT void _exit(int status)
{
    preload::tell_and_wait({.kind = Kind::exits, .flags = status & 0xff});
    for (;;) {
        raw_call(SYS_exit_group, status, 0, 0);
    }
}

STEMMA_EXPORT void _Exit(int status)
{
    _exit(status);
}

STEMMA_EXPORT long syscall(long number, ...) noexcept
{
    va_list arguments;
    va_start(arguments, number);
    long words[6];
    for (long& word : words) {
        word = va_arg(arguments, long);
    }
    va_end(arguments);
    if (number == SYS_io_uring_setup) {
        preload::tell({.kind = Kind::hole, .path = "uses io_uring: its opens are not seen"});
    }
    if (number == SYS_openat) {
        return openat(static_cast<int>(words[0]),
                      reinterpret_cast<const char*>(words[1]),
                      static_cast<int>(words[2]),
                      static_cast<mode_t>(words[3]));
    }
    if (number == SYS_execve) {
        return execute(AT_FDCWD,
                       reinterpret_cast<const char*>(words[0]),
                       reinterpret_cast<char* const*>(words[1]),
                       reinterpret_cast<char* const*>(words[2]));
    }
    const long result =
        raw_call(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    if (is_error(result)) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return result;
}

// NOLINTEND
