#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/jail/process.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>

using namespace stemma; // NOLINT(google-build-using-namespace): a test
using namespace std::chrono_literals;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

/// What the confined process answers to `work`, which gives a text.
template <typename Work>
std::string inside(Work&& work, const std::vector<int>& keep = {}, const jail::Limits& limits = {})
{
    return jail::compute("test.img", keep, limits, std::forward<Work>(work));
}

template <typename Work>
std::string end_of(Work&& work, const jail::Limits& limits = {})
{
    const auto error = support::error_of([&] { inside(std::forward<Work>(work), {}, limits); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::corrupt);
    return error->message();
}

std::string errno_name(long result)
{
    return result >= 0 ? "done" : std::to_string(errno);
}

} // namespace

TEST_CASE("work in a jail gives its result, of any size, and its errors as they were")
{
    CHECK(inside([] { return std::string("found"); }) == "found");
    CHECK(inside([] { return std::string(); }).empty());
    const std::string large(5'000'000, 'x');
    CHECK(inside([&] { return large + "end"; }) == large + "end");
    const auto error = support::error_of([] {
        inside([]() -> std::string {
            throw Error(ErrorCode::unsupported, "a feature", "another way").with_frame("reading");
        });
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(error->message() == "a feature");
    CHECK(error->hint() == "another way");
    CHECK(error->frames() == std::vector<std::string>{"reading"});
}

TEST_CASE("no file can be opened in a jail, and none of ours is open there")
{
    const TemporaryFolder folder("jail");
    const auto path = (folder.path() / "secret").string();
    write_file(path, "of the host");
    const int ours = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(ours > 2);
    CHECK(inside([&] { return errno_name(::open(path.c_str(), O_RDONLY)); }) ==
          std::to_string(EPERM));
    CHECK(inside([&] { return errno_name(::open("/tmp/made-in-jail", O_CREAT | O_RDWR, 0600)); }) ==
          std::to_string(EPERM));
    const auto read_ours = [&] {
        char byte = 0;
        return errno_name(::read(ours, &byte, 1));
    };
    CHECK(inside(read_ours) == std::to_string(EBADF));
    CHECK(inside(read_ours, {ours}) == "done"); // unless it was kept
    ::close(ours);
}

TEST_CASE("starting, connecting, signalling, deleting and running new code end a jail at once")
{
    const TemporaryFolder folder("jail");
    const auto path = (folder.path() / "kept").string();
    write_file(path, "");
    const auto caught = [](const std::string& message) {
        return message.find("tried what it may not do") != std::string::npos;
    };
    CHECK(caught(end_of([] { return errno_name(::fork()); })));
    CHECK(caught(end_of([] {
        char* const argv[] = {nullptr};
        return errno_name(::execve("/bin/true", argv, argv));
    })));
    CHECK(caught(end_of([] { return errno_name(::socket(AF_INET, SOCK_STREAM, 0)); })));
    CHECK(caught(end_of([] { return errno_name(::kill(::getppid(), 0)); })));
    CHECK(caught(end_of([&] { return errno_name(::unlink(path.c_str())); })));
    CHECK(caught(end_of([] {
        void* const code =
            ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return errno_name(code == MAP_FAILED ? -1 : 0);
    })));
    CHECK(std::filesystem::exists(path));
}

TEST_CASE("a crash in a jail is an error that names what was read")
{
    if (!sanitized) { // which turn a fault into a report of their own
        const auto message = end_of([]() -> std::string {
            volatile int* nowhere = nullptr;
            *nowhere = 1; // NOLINT(clang-analyzer-core.NullDereference): the point of the test
            return "";
        });
        CHECK(message.find("test.img") != std::string::npos);
        CHECK(message.find("signal 11") != std::string::npos);
    }
    CHECK(end_of([]() -> std::string { std::abort(); }).find("test.img") != std::string::npos);
    CHECK(end_of([]() -> std::string { ::_exit(7); }).find("7") != std::string::npos);
}

TEST_CASE("a jail ends when it takes too much time or memory")
{
    const auto endless = end_of(
        []() -> std::string {
            for (const volatile bool on = true; on;) {
            }
            return "";
        },
        {.processor = 1s});
    CHECK(endless.find("1 s of processor time") != std::string::npos);
    if (!sanitized) {
        const auto greedy = end_of(
            [] {
                std::string all;
                for (;;) {
                    all += std::string(16 << 20, 'x');
                }
                return all;
            },
            {.memory = 200 << 20});
        CHECK(greedy.find("memory") != std::string::npos);
    }
}

TEST_CASE("root is nobody in a jail")
{
    const auto id = inside([] { return std::to_string(::geteuid()); });
    CHECK(id == (::geteuid() == 0 ? "65534" : std::to_string(::geteuid())));
}

TEST_CASE("waiting for a jail can be given up")
{
    Cancel cancel;
    cancel.request();
    const auto error = support::error_of([&] {
        inside(
            []() -> std::string {
                std::this_thread::yield();
                for (const volatile bool on = true; on;) {
                }
                return "";
            },
            {},
            {.cancel = &cancel});
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::interrupted);
}

TEST_CASE("a jail's process is gone when its keeper is")
{
    std::optional<jail::Process> process;
    process.emplace("test.img", std::vector<int>{}, jail::Limits{}, [](jail::Channel& channel) {
        channel.send("ready");
        (void)channel.receive();
    });
    CHECK(process->receive() == "ready");
    process.reset();
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1); // no child is left, not even a dead one
}

TEST_CASE("a helper with freedom starts programs until it gives that up, and no socket after it")
{
    const jail::Limits limits{.freedom = jail::Freedom::programs};
    CHECK(inside([] { return run({.argv = {"echo", "started"}}).out; }, {}, limits) == "started\n");
    const auto after = inside(
        [] {
            jail::forbid_programs();
            const auto program = errno_name(::execl("/bin/true", "true", nullptr));
            const auto process = errno_name(::fork());
            return program + " " + process + " " + errno_name(::socket(AF_UNIX, SOCK_STREAM, 0));
        },
        {},
        limits);
    const auto no = std::to_string(EPERM);
    CHECK(after == no + " " + no + " " + no);
}

TEST_CASE("what a helper started ends with it, when its time is up")
{
    const TemporaryFolder folder("helper");
    const auto noted = folder.path() / "pid";
    const auto error = support::error_of([&] {
        inside(
            [&]() -> std::string {
                if (const pid_t child = ::fork(); child > 0) {
                    write_file(noted, std::to_string(child));
                }
                ::pause();
                return {};
            },
            {},
            {.patience = 1s, .freedom = jail::Freedom::programs});
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::remote);
    CHECK(error->message().find("no answer within 1 s") != std::string::npos);
    const auto state = "/proc/" + read_file(noted) + "/stat";
    for (int i = 0; i < 100 && std::filesystem::exists(state); ++i) {
        if (read_file(state).find(") Z ") != std::string::npos) {
            return; // a corpse, where nobody reaps orphans
        }
        std::this_thread::sleep_for(50ms);
    }
    CHECK_FALSE(std::filesystem::exists(state));
}
