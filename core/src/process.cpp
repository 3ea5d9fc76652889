#include "stemma/core/process.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

extern char** environ; // NOLINT(readability-redundant-declaration): POSIX asks for it

namespace stemma {

namespace {

using namespace std::chrono_literals;
using SteadyTime = std::chrono::steady_clock::time_point;

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added)
{
    std::vector<std::string> merged;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        if (added.find(std::string(text.substr(0, text.find('=')))) == added.end()) {
            merged.emplace_back(text);
        }
    }
    for (const auto& [name, value] : added) {
        merged.push_back(fmt::format("{}={}", name, value));
    }
    return merged;
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> result;
    result.reserve(texts.size() + 1);
    for (auto& text : texts) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

std::string hint_for_program(std::string_view name)
{
    struct Known {
        std::string_view program;
        std::string_view package;
    };
    static constexpr std::array known = {Known{"qemu-img", "qemu-utils"},
                                         Known{"qemu-nbd", "qemu-utils"},
                                         Known{"qemu-system-x86_64", "qemu-system-x86"},
                                         Known{"e2fsck", "e2fsprogs"},
                                         Known{"git", "git"},
                                         Known{"dpkg-deb", "dpkg"},
                                         Known{"guestfish", "libguestfs-tools"},
                                         Known{"dot", "graphviz"},
                                         Known{"qemu-storage-daemon", "qemu-system-common"}};
    for (const auto& row : known) {
        if (row.program == name) {
            return fmt::format("apt-get install {}", row.package);
        }
    }
    return {};
}

/// Everything the child needs, made before fork: nothing is allocated after it.
struct Launch {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::vector<char*> argv;
    std::vector<char*> envp;
    std::string folder;
    Child::Streams streams;
    std::vector<int> keep;
};

/// sigaction(2): signal(2) may not be used where threads run.
void set_signal(int signal, void (*handler)(int)) noexcept
{
    struct sigaction action {};
    action.sa_handler = handler;
    ::sigaction(signal, &action, nullptr);
}

[[noreturn]] void become(const Launch& launch, int report) noexcept
{
    const auto fail = [report] {
        const int reason = errno;
        [[maybe_unused]] const auto told = ::write(report, &reason, sizeof reason);
        ::_exit(127);
    };
    set_signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    const int null = launch.streams.in < 0 ? ::open("/dev/null", O_RDONLY) : launch.streams.in;
    if (::dup2(null, STDIN_FILENO) < 0 ||
        (launch.streams.out >= 0 && ::dup2(launch.streams.out, STDOUT_FILENO) < 0) ||
        (launch.streams.err >= 0 && ::dup2(launch.streams.err, STDERR_FILENO) < 0)) {
        fail();
    }
    for (const int fd : launch.keep) {
        ::fcntl(fd, F_SETFD, 0);
    }
    if (!launch.folder.empty() && ::chdir(launch.folder.c_str()) != 0) {
        fail();
    }
    ::execvpe(launch.argv[0], launch.argv.data(), launch.envp.data());
    fail();
    ::_exit(127);
}

pid_t launch_process(Launch launch)
{
    if (launch.arguments.empty()) {
        throw Error(ErrorCode::usage, "no command given");
    }
    launch.argv = pointers(launch.arguments);
    launch.envp = pointers(launch.environment);
    Pipe report = make_pipe();
    const pid_t pid = ::fork();
    if (pid < 0) {
        throw system_error(errno, "start a process");
    }
    if (pid == 0) {
        become(launch, report.write_end.get());
    }
    report.write_end.reset();
    int reason = 0;
    ssize_t got = 0;
    do {
        got = ::read(report.read_end.get(), &reason, sizeof reason);
    } while (got < 0 && errno == EINTR);
    if (got == static_cast<ssize_t>(sizeof reason)) {
        ::waitpid(pid, nullptr, 0);
        const auto& program = launch.arguments.front();
        if (reason == ENOENT) {
            throw Error(ErrorCode::not_found,
                        fmt::format("cannot run {}: not found", program),
                        hint_for_program(program));
        }
        throw system_error(reason, fmt::format("run {}", program));
    }
    return pid;
}

/// Appends what is there; false at the end of the stream.
bool drain(int fd, std::string& into, std::size_t limit)
{
    std::array<char, 16384> buffer{};
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    const auto room = limit > into.size() ? limit - into.size() : 0;
    into.append(buffer.data(), std::min(static_cast<std::size_t>(got), room));
    return got > 0;
}

/// Writes a piece of `left`; false when nothing is left or nobody reads.
bool feed(int fd, std::string_view& left)
{
    const auto done = ::write(fd, left.data(), left.size());
    if (done < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    left.remove_prefix(static_cast<std::size_t>(done));
    return !left.empty();
}

/// Keeps the three pipes of a running command moving until both outputs end.
class Conversation {
public:
    Conversation(const Command& command, Child& child, Fd in, Fd out, Fd err)
        : command_(command),
          child_(child),
          left_(command.input),
          in_(std::move(in)),
          out_(std::move(out)),
          err_(std::move(err))
    {
        if (command.timeout) {
            deadline_ = std::chrono::steady_clock::now() + *command.timeout;
        }
    }

    void hold(CommandResult& result)
    {
        while (out_ || err_) {
            check_limits();
            std::array<pollfd, 3> wanted = {pollfd{out_.get(), POLLIN, 0},
                                            pollfd{err_.get(), POLLIN, 0},
                                            pollfd{in_.get(), POLLOUT, 0}};
            const int ready = ::poll(wanted.data(), wanted.size(), 100);
            if (ready <= 0) {
                continue;
            }
            if (wanted[0].revents != 0 && !drain(out_.get(), result.out, command_.max_output)) {
                out_.reset();
            }
            if (wanted[1].revents != 0 && !drain(err_.get(), result.err, command_.max_output)) {
                err_.reset();
            }
            if (wanted[2].revents != 0 && !feed(in_.get(), left_)) {
                in_.reset();
            }
        }
    }

private:
    void check_limits()
    {
        const auto now = std::chrono::steady_clock::now();
        if (command_.cancel != nullptr && command_.cancel->requested()) {
            if (!stopping_) {
                child_.kill(SIGTERM);
                stopping_ = now;
            } else if (now - *stopping_ > 5s) {
                child_.kill(SIGKILL);
                command_.cancel->check();
            }
        }
        if (deadline_ && now > *deadline_) {
            child_.kill(SIGKILL);
            throw Error(ErrorCode::remote,
                        fmt::format("{} did not end within {} s",
                                    command_.argv.front(),
                                    std::chrono::duration<double>(*command_.timeout).count()));
        }
    }

    const Command& command_;
    Child& child_;
    std::string_view left_;
    Fd in_;
    Fd out_;
    Fd err_;
    std::optional<SteadyTime> deadline_;
    std::optional<SteadyTime> stopping_;
};

} // namespace

std::string ExitStatus::describe() const
{
    if (signal != 0) {
        const char* name = ::sigdescr_np(signal);
        return fmt::format("killed by signal {} ({})", signal, name == nullptr ? "unknown" : name);
    }
    return fmt::format("exit status {}", code);
}

ExitStatus ExitStatus::from_wait(int wait_status) noexcept
{
    if (WIFSIGNALED(wait_status)) {
        return {0, WTERMSIG(wait_status)};
    }
    return {WEXITSTATUS(wait_status), 0};
}

void leave_like(const ExitStatus& exit) noexcept
{
    if (exit.signal != 0) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core); // the tool has dumped its own already
        set_signal(exit.signal, SIG_DFL);
        sigset_t only;
        ::sigemptyset(&only);
        ::sigaddset(&only, exit.signal);
        ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
        ::raise(exit.signal);
        ::_exit(128 + exit.signal);
    }
    ::_exit(exit.code);
}

CommandResult run(const Command& command)
{
    Pipe in = make_pipe();
    Pipe out = make_pipe();
    Pipe err = make_pipe();
    Launch launch;
    launch.arguments = command.argv;
    launch.environment = merged_environment(command.environment);
    launch.folder = command.folder;
    launch.streams = {
        command.input.empty() ? -1 : in.read_end.get(), out.write_end.get(), err.write_end.get()};
    // A child that ends without reading must not end us.
    set_signal(SIGPIPE, SIG_IGN);
    ::fcntl(in.write_end.get(), F_SETFL, O_NONBLOCK);
    Child child = Child::adopt(launch_process(std::move(launch)));
    in.read_end.reset();
    out.write_end.reset();
    err.write_end.reset();
    if (command.input.empty()) {
        in.write_end.reset();
    }
    CommandResult result;
    Conversation(
        command, child, std::move(in.write_end), std::move(out.read_end), std::move(err.read_end))
        .hold(result);
    result.exit = child.wait();
    if (command.cancel != nullptr) {
        command.cancel->check();
    }
    return result;
}

CommandResult run_checked(const Command& command)
{
    auto result = run(command);
    if (!result.exit.success()) {
        auto lines = split_lines(trim(result.err));
        std::string tail;
        const std::size_t first = lines.size() > 5 ? lines.size() - 5 : 0;
        for (std::size_t i = first; i < lines.size(); ++i) {
            tail += "\n  ";
            tail += printable(lines[i]);
        }
        throw Error(
            ErrorCode::io,
            fmt::format("{} failed: {}{}", shell_join(command.argv), result.exit.describe(), tail));
    }
    return result;
}

Child Child::adopt(pid_t pid) noexcept
{
    Child child;
    child.pid_ = pid;
    return child;
}

Child::Child(const std::vector<std::string>& argv,
             const Streams& streams,
             const std::vector<int>& keep,
             const std::map<std::string, std::string>& environment)
{
    Launch launch;
    launch.arguments = argv;
    launch.environment = merged_environment(environment);
    launch.streams = streams;
    launch.keep = keep;
    pid_ = launch_process(std::move(launch));
}

Child::~Child()
{
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Child& Child::operator=(Child&& other) noexcept
{
    std::swap(pid_, other.pid_);
    return *this;
}

ExitStatus Child::wait()
{
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
        if (errno != EINTR) {
            pid_ = -1;
            throw system_error(errno, "wait for a process");
        }
    }
    pid_ = -1;
    return ExitStatus::from_wait(status);
}

std::optional<ExitStatus> Child::poll()
{
    int status = 0;
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR)) {
        return std::nullopt;
    }
    pid_ = -1;
    return ExitStatus::from_wait(ended < 0 ? 0 : status);
}

void Child::kill(int signal) noexcept
{
    if (pid_ > 0) {
        ::kill(pid_, signal);
    }
}

std::optional<std::string> find_program(std::string_view name)
{
    if (name.find('/') != std::string_view::npos) {
        const std::string path(name);
        return ::access(path.c_str(), X_OK) == 0 ? std::optional(path) : std::nullopt;
    }
    const char* search = ::getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nobody writes it
    const std::string_view folders = search == nullptr ? "/usr/local/bin:/usr/bin:/bin" : search;
    for (const auto folder : split(folders, ':')) {
        auto path = fmt::format("{}/{}", folder.empty() ? "." : folder, name);
        if (::access(path.c_str(), X_OK) == 0) {
            return path;
        }
    }
    return std::nullopt;
}

} // namespace stemma
