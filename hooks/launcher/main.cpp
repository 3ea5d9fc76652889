/// stemma-hook: stands in front of a compiler, linker, archiver or custom command, runs it, and
/// appends to a journal what it read and wrote. Static, and linked with nothing but core, because
/// it starts once per compile.
///
///     stemma-hook step [--journal=F] [--target=T] … -- TOOL ARGUMENT…     see src/tag.hpp

#include "stemma/core/process.hpp"
#include "stemma/hooks/observe.hpp"

#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../src/tag.hpp"

namespace {

/// Runs the tool and nothing else.
[[noreturn]] void just_run(char** tool)
{
    ::execvp(tool[0], tool);
    const int reason = errno;
    const char* why = std::strerror(reason); // NOLINT(concurrency-mt-unsafe): one thread
    std::fprintf(stderr, "stemma-hook: cannot run %s: %s\n", tool[0], why);
    ::_exit(reason == ENOENT ? 127 : 126);
}

stemma::hooks::SessionRecord describe(const std::vector<std::string>& argv)
{
    stemma::hooks::SessionRecord record;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    record.started = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000U +
                     static_cast<std::uint64_t>(now.tv_nsec) / 1000U;
    utsname machine{};
    if (::uname(&machine) == 0) {
        record.machine = machine.nodename;
    }
    const char* user = std::getenv("USER"); // NOLINT(concurrency-mt-unsafe): one thread
    record.user = user == nullptr ? std::to_string(::getuid()) : user;
    std::array<char, PATH_MAX> folder{};
    if (::getcwd(folder.data(), folder.size()) != nullptr) {
        record.folder = folder.data();
    }
    record.argv = argv;
    record.launcher = true;
    return record;
}

int usage()
{
    std::fputs(
        "usage: stemma-hook step [--journal=F] [--target=T] [--type=T] [--language=L]\n"
        "                        [--output=O] [--role=compile|link|custom] -- TOOL [ARGUMENT]...\n"
        "Runs TOOL and records what it read and wrote. CMake's stemma_track() puts it in place.\n",
        stderr);
    return 2;
}

/// Where a command line that is not understood names its tool, so that the build goes on.
char** tool_after_dashes(char** argv)
{
    for (; *argv != nullptr; ++argv) {
        if (std::strcmp(*argv, "--") == 0 && argv[1] != nullptr) {
            return argv + 1;
        }
    }
    return nullptr;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
        std::puts("stemma-hook " STEMMA_VERSION);
        return 0;
    }
    char** tool = tool_after_dashes(argv);
    if (tool == nullptr) {
        return usage();
    }
    try {
        const std::vector<std::string> words(argv, argv + argc);
        auto call = stemma::hooks::launcher_call(words);
        const char* journal = std::getenv("STEMMA_JOURNAL"); // NOLINT(concurrency-mt-unsafe)
        if (call && journal != nullptr) {
            call->journal = journal;
        }
        if (!call || call->journal.empty() || stemma::hooks::is_observed()) {
            just_run(tool);
        }
        stemma::hooks::Observation observation;
        observation.argv.assign(tool, argv + argc);
        observation.journal = call->journal;
        observation.session = describe(observation.argv);
        observation.tag = call->tag;
        const auto exit = stemma::hooks::observe(std::move(observation));
        if (exit.start_error != 0) {
            just_run(tool); // fails the same way, and says so
        }
        stemma::leave_like({exit.code, exit.signal});
    } catch (...) {
        just_run(tool); // nothing of the tool's ran yet: only preparations throw
    }
}
