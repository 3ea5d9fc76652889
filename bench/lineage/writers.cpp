// Many processes that record at once: through the one writer of a store, and each by itself.
//
//     bench_writers [--processes N] [--events N] [--postgres URL]
//
// Prints one JSON object: for both ways events per second, and how long one event took to be
// acknowledged, in milliseconds of wall time, as its processes saw it; then their ratios. With
// --postgres the same through the one writer into that ledger, which must be empty and stays full.

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/writer.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <map>
#include <thread>

#include "arguments.hpp"

namespace {

using namespace stemma;
using Steady = std::chrono::steady_clock;

using bench::Load;

const Load usual_load = {{{"processes", 64}, {"events", 50}}};

model::EventDraft fact(std::uint64_t process, std::uint64_t number, Time now)
{
    return {now,
            "vm.state",
            Json{{"uuid", fmt::format("vm-{}", process)},
                 {"name", fmt::format("vm-{}", process)},
                 {"host", fmt::format("host-{}", process % 8)},
                 {"state", number % 2 == 0 ? "running" : "paused"},
                 {"reason", ""}}};
}

/// What one process does: waits for the others, then records, and sends back each event's time.
void record_all(const std::string& path, std::uint64_t process, const Load& load, Pipe& go, int out)
{
    const SystemClock clock;
    NullLog log;
    auto store = lineage::Store::open(path, lineage::Store::Mode::write, clock, log);
    char ignored = 0;
    go.write_end.reset();
    if (::read(go.read_end.get(), &ignored, 1) < 0) {
        return;
    }
    std::string times;
    for (std::uint64_t i = 0; i < load["events"]; ++i) {
        const auto begin = Steady::now();
        store->record(fact(process, i, clock.now()));
        const std::chrono::duration<double, std::milli> took = Steady::now() - begin;
        times += fmt::format("{}\n", took.count());
    }
    write_all(out, times, "pipe");
}

Json measure(const std::string& path, const Load& load)
{
    Pipe go = make_pipe();
    std::vector<Fd> results;
    std::vector<pid_t> children;
    for (std::uint64_t i = 0; i < load["processes"]; ++i) {
        Pipe result = make_pipe();
        const pid_t child = ::fork();
        if (child == 0) {
            int code = 1;
            try {
                record_all(path, i, load, go, result.write_end.get());
                code = 0;
            } catch (const Error& error) {
                std::fprintf(stderr, "bench_writers: %s\n", error.one_line().c_str());
            }
            ::_exit(code);
        }
        children.push_back(child);
        results.push_back(std::move(result.read_end));
    }
    std::this_thread::sleep_for(std::chrono::seconds(2)); // until all have opened the store
    const auto begin = Steady::now();
    go.write_end.reset();
    std::vector<double> times;
    for (auto& result : results) {
        const auto text = read_file(fmt::format("/proc/self/fd/{}", result.get()));
        for (const auto line : split_lines(text)) {
            times.push_back(std::stod(std::string(line)));
        }
    }
    const std::chrono::duration<double> took = Steady::now() - begin;
    bool whole = true;
    for (const auto child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        whole = whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    std::sort(times.begin(), times.end());
    const auto at = [&](double share) {
        return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
    };
    return {{"turned_away", !whole},
            {"events_per_s", static_cast<double>(times.size()) / took.count()},
            {"p50_ms", at(0.5)},
            {"p99_ms", at(0.99)},
            {"max_ms", at(1.0)}};
}

Json alone(const Load& load)
{
    const TemporaryFolder folder("stemma-bench-writers", ".");
    return measure(folder.path() / "lineage.db", load);
}

/// The writer in a process of its own, as `stemma serve --writer` is.
Json grouped(const std::string& path, const Load& load)
{
    Pipe ready = make_pipe();
    const pid_t writer = ::fork();
    if (writer == 0) {
        const SystemClock clock;
        NullLog log;
        lineage::Writer working(path, clock, log);
        write_all(ready.write_end.get(), "x", "pipe");
        working.run(Cancel());
        ::_exit(0);
    }
    char ignored = 0;
    if (::read(ready.read_end.get(), &ignored, 1) != 1) {
        throw Error(ErrorCode::io, "the writer did not start");
    }
    auto result = measure(path, load);
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    return result;
}

Json grouped_in_a_file(const Load& load)
{
    const TemporaryFolder folder("stemma-bench-writers", ".");
    return grouped(folder.path() / "lineage.db", load);
}

/// The machine's copy of the ledger is thrown away afterwards.
Json grouped_on_a_server(const std::string& url, const Load& load)
{
    const TemporaryFolder folder("stemma-bench-writers", std::filesystem::current_path());
    ::setenv("XDG_CACHE_HOME", folder.path().c_str(), 1); // NOLINT(*-mt-unsafe): one thread
    return grouped(url, load);
}

int run(const Load& load, const std::string& postgres)
{
    const auto one = grouped_in_a_file(load);
    const auto each = alone(load);
    const auto ratio = [&](const char* name) {
        return each[name].get<double>() / one[name].get<double>();
    };
    Json result = {{"load", load.numbers},
                   {"one_writer", one},
                   {"each_by_itself", each},
                   {"p99_ratio", ratio("p99_ms")},
                   {"events_ratio", 1 / ratio("events_per_s")}};
    if (!postgres.empty()) {
        result["one_writer_postgres"] = grouped_on_a_server(postgres, load);
        result["postgres_p99_ratio"] =
            result["one_writer_postgres"]["p99_ms"].get<double>() / one["p99_ms"].get<double>();
    }
    std::puts(result.dump(2).c_str());
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    try {
        Load load = usual_load;
        std::string postgres;
        std::vector<char*> numbers;
        for (int i = 0; i < argc; ++i) {
            if (std::string_view(argv[i]) == "--postgres" && i + 1 < argc) {
                postgres = argv[++i];
            } else {
                numbers.push_back(argv[i]);
            }
        }
        load.read(static_cast<int>(numbers.size()), numbers.data());
        return run(load, postgres);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_writers: %s\n", error.what());
        return 1;
    }
}
