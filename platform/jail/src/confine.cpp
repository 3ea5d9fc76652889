#include "confine.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>

namespace stemma::jail {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

/// Reading and writing what is open, memory, time, and leaving.
constexpr std::array allowed = {
    SCMP_SYS(read),         SCMP_SYS(write),          SCMP_SYS(readv),
    SCMP_SYS(writev),       SCMP_SYS(recvfrom),       SCMP_SYS(sendto),
    SCMP_SYS(recvmsg),      SCMP_SYS(sendmsg),        SCMP_SYS(poll),
    SCMP_SYS(ppoll),        SCMP_SYS(close),          SCMP_SYS(shutdown),
    SCMP_SYS(brk),          SCMP_SYS(munmap),         SCMP_SYS(mremap),
    SCMP_SYS(madvise),      SCMP_SYS(futex),          SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday), SCMP_SYS(time),           SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
    SCMP_SYS(sigaltstack),  SCMP_SYS(sched_yield),    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),         SCMP_SYS(exit_group),     SCMP_SYS(setitimer),
    SCMP_SYS(getpid),       SCMP_SYS(gettid),         SCMP_SYS(getuid),
    SCMP_SYS(geteuid),      SCMP_SYS(getgid),         SCMP_SYS(getegid),
    SCMP_SYS(uname),        SCMP_SYS(sysinfo),        SCMP_SYS(lseek),
    SCMP_SYS(fstat),        SCMP_SYS(accept),         SCMP_SYS(accept4), // on what listens already
};

/// What libraries may try out of habit: they are told no, and go on.
constexpr std::array refused = {
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(ioctl),
    SCMP_SYS(fcntl),
    SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(prctl),
};

void require(bool fine, int error_number, std::string_view what)
{
    if (!fine) {
        throw Error(
            ErrorCode::unsupported,
            fmt::format("cannot {} for the process that reads images: {}",
                        what,
                        std::strerror(error_number)), // NOLINT(concurrency-mt-unsafe): one thread
            "untrusted images are read in a confined process only; does this system allow "
            "seccomp filters?");
    }
}

struct FilterReleaser {
    void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterReleaser>;

void add_rules(const Filter& filter)
{
    int failed = 0;
    for (const int call : allowed) {
        failed |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
    }
    for (const int call : refused) {
        failed |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    if (sanitized) {
        // The undefined-behaviour sanitizer asks through a pipe whether memory can be read.
        failed |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(pipe2), 0);
    }
    // Memory yes, code no.
    const scmp_arg_cmp no_code{
        .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
    for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
        failed |= ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 1, &no_code);
    }
    // abort(3) sends itself a signal.
    const scmp_arg_cmp itself{.arg = 0,
                              .op = SCMP_CMP_EQ,
                              .datum_a = static_cast<scmp_datum_t>(::getpid()),
                              .datum_b = 0};
    failed |= ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &itself);
    require(failed == 0, EINVAL, "make a seccomp filter");
}

void load_filter()
{
    const Filter filter(::seccomp_init(SCMP_ACT_KILL_PROCESS));
    require(filter != nullptr, ENOMEM, "make a seccomp filter");
    add_rules(filter);
    const int result = ::seccomp_load(filter.get());
    require(result == 0, -result, "load a seccomp filter");
}

void close_others(std::vector<int> keep)
{
    if (sanitized) {
        keep.push_back(STDERR_FILENO);
    }
    std::sort(keep.begin(), keep.end());
    unsigned next = 0;
    for (const int fd : keep) {
        const auto kept = static_cast<unsigned>(fd);
        if (kept > next) {
            require(::close_range(next, kept - 1, 0) == 0, errno, "close files");
        }
        next = kept + 1;
    }
    require(
        ::close_range(next, std::numeric_limits<unsigned>::max(), 0) == 0, errno, "close files");
}

void limit(__rlimit_resource resource, std::uint64_t most)
{
    const rlimit bound{.rlim_cur = most, .rlim_max = most};
    require(::setrlimit(resource, &bound) == 0, errno, "set limits");
}

/// Bytes of address space that this process has.
std::uint64_t address_space()
{
    const auto text = read_file("/proc/self/statm");
    const auto pages = parse_unsigned(split_words(text).front()).value_or(0);
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void limit_resources(const Limits& limits)
{
    if (!sanitized) {
        limit(RLIMIT_AS, address_space() + limits.memory);
    }
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NPROC, 0);
}

/// Root becomes nobody. In a user namespace without that id the filter alone must do.
void drop_identity()
{
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0) {
        (void)::setgroups(0, nullptr);
        (void)::setresgid(nobody, nobody, nobody);
        (void)::setresuid(nobody, nobody, nobody);
    }
}

void forget_signals()
{
    for (const int number :
         {SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1, SIGUSR2, SIGPROF, SIGALRM}) {
        ::signal(number, SIG_DFL);
    }
    ::signal(SIGINT, SIG_IGN); // ^C reaches all; whoever started us ends us in order
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

/// Standard input and output lead nowhere, standard error (when nobody kept one) too.
void fill_standard_streams()
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) < 0) {
            (void)::open("/dev/null", O_RDWR); // gets the lowest free number
        }
    }
}

void follow_parent(pid_t parent)
{
    require(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, errno, "follow its parent");
    if (::getppid() != parent) {
        ::_exit(1);
    }
}

void set_apart(const std::vector<int>& keep, pid_t parent)
{
    forget_signals();
    limit(RLIMIT_CORE, 0);
    close_others(keep);
    fill_standard_streams();
    require(::setsid() >= 0, errno, "make a session");
    follow_parent(parent);
    require(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, errno, "give up privileges");
}

/// What a helper that has started its programs needs no more.
constexpr std::array done_with = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(ptrace),
    SCMP_SYS(mount),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(bpf),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(setuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(mount_setattr),
};

} // namespace

void forbid_programs()
{
    const Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
    require(filter != nullptr, ENOMEM, "make a seccomp filter");
    int failed = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1); // all threads
    for (const int call : done_with) {
        failed |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    require(failed == 0, EINVAL, "make a seccomp filter");
    const int result = ::seccomp_load(filter.get());
    require(result == 0, -result, "load a seccomp filter");
}

void confine(const std::vector<int>& keep, const Limits& limits, pid_t parent)
{
    if (limits.freedom == Freedom::programs) {
        set_apart(keep, parent);
        return;
    }
    forget_signals();
    limit_resources(limits);
    close_others(keep);
    drop_identity();
    follow_parent(parent); // a change of identity forgets it, so it comes after
    require(::prctl(PR_SET_DUMPABLE, 0) == 0, errno, "hide memory");
    require(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, errno, "give up privileges");
    load_filter();
}

} // namespace stemma::jail
