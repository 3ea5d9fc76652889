/// What collating a journal costs: processor time and memory.
///
/// usage: bench_collate [STEPS]
///
/// Makes a folder with STEPS (5,000) sources and objects and 400 headers, and a journal in which
/// each object is compiled from its source, 100 of the headers and 60 files of the system.

#include "stemma/collate/collate.hpp"

#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/hooks/content.hpp"
#include "stemma/hooks/journal.hpp"
#include "stemma/hooks/session.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <cstdio>
#include <filesystem>

namespace {

using namespace stemma;
using namespace stemma::hooks;

double cpu_seconds()
{
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class JournalMaker {
public:
    explicit JournalMaker(std::filesystem::path folder)
        : folder_(std::move(folder)), writer_((folder_ / "journal").string())
    {
    }

    void make(std::size_t steps)
    {
        SessionRecord session;
        session.folder = (folder_ / "tree").string();
        session.argv = {"make"};
        writer_.add(session);
        const auto tool = add("/usr/bin/gcc", false);
        const auto system = add_system_files();
        std::vector<VersionId> headers;
        headers.reserve(400);
        for (int i = 0; i < 400; ++i) {
            headers.push_back(add_file(fmt::format("include/header-{}.h", i), "#define X 1\n"));
        }
        for (std::size_t i = 0; i < steps; ++i) {
            ProcessRecord compile;
            compile.pid = static_cast<std::int64_t>(i + 10);
            compile.serial = i + 1;
            compile.started = 2 * i + 1;
            compile.ended = 2 * i + 2;
            const auto source = fmt::format("src/file-{}.c", i);
            compile.images.push_back({tool, {"gcc", "-O2", "-c", source}, session.folder});
            compile.accesses.push_back({tool, access_exec});
            compile.accesses.push_back(
                {add_file(source, fmt::format("int f{};\n", i)), access_read});
            for (std::size_t h = 0; h < 100; ++h) {
                compile.accesses.push_back({headers[(i * 7 + h) % headers.size()], access_read});
            }
            for (const auto file : system) {
                compile.accesses.push_back({file, access_read});
            }
            compile.accesses.push_back(
                {add_file(fmt::format("obj/file-{}.o", i), fmt::format("object {}", i)),
                 access_write});
            compile.sort_accesses();
            writer_.add(compile);
        }
        writer_.add(EndRecord{0, 0, 1, 0});
        writer_.flush();
    }

private:
    VersionId add(const std::string& path, bool with_content)
    {
        struct stat info {};
        ::stat(path.c_str(), &info);
        const auto id = next_++;
        writer_.add(Version{id, path, stamp_of(info), static_cast<std::uint64_t>(info.st_size)});
        if (with_content) {
            auto content = read_content(path, true).value();
            content.id = id;
            writer_.add(content);
        }
        return id;
    }

    VersionId add_file(const std::string& name, const std::string& text)
    {
        const auto path = folder_ / "tree" / name;
        std::filesystem::create_directories(path.parent_path());
        write_file(path, text);
        return add(path.string(), true);
    }

    std::vector<VersionId> add_system_files()
    {
        std::vector<VersionId> files;
        for (const auto& entry : std::filesystem::directory_iterator("/usr/include")) {
            if (entry.is_regular_file() && files.size() < 60) {
                files.push_back(add(entry.path().string(), false));
            }
        }
        return files;
    }

    std::filesystem::path folder_;
    JournalWriter writer_;
    VersionId next_ = 0;
};

} // namespace

int main(int argc, char** argv)
{
    const std::size_t steps = argc > 1 ? parse_unsigned(argv[1]).value_or(5000) : 5000;
    const TemporaryFolder folder("bench-collate");
    JournalMaker(folder.path()).make(steps);
    CollateOptions options;
    options.cache = (folder.path() / "cache").string();
    for (const char* round : {"first", "second"}) {
        const double before = cpu_seconds();
        const auto manifest = collate_journal((folder.path() / "journal").string(), options);
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        std::printf(
            "%s collation: %zu steps, %zu files, %.2f s of processor time, %ld MiB at most\n",
            round,
            manifest.steps.size(),
            manifest.files.size(),
            cpu_seconds() - before,
            usage.ru_maxrss / 1024);
    }
}
