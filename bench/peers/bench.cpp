// Runs `compare` over a fleet with known faults and writes one ranking per run.
//
//     bench_peers FLEET_FOLDER [--service] [--method M] [--limit N] > rankings.jsonl
//
// FLEET_FOLDER holds fleet/*.tar, targets/*.tar and cases.json ([{run, target, self, service}…]);
// where a truth.json lies beside it (score.hpp), recall is printed to standard error.
#include "stemma/analyzer/extract.hpp"
#include "stemma/analyzer/peers.hpp"
#include "stemma/analyzer/pool.hpp"
#include "stemma/analyzer/sidecar.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"
#include "stemma/volume/filesystem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "score.hpp"

namespace {

using namespace stemma;
using namespace stemma::analyzer;

double seconds_since(std::chrono::steady_clock::time_point begin)
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

FeatureSet features_of(const std::filesystem::path& path)
{
    const SystemClock clock;
    const Cancel cancel;
    const auto tree =
        path.extension() == ".tar" ? volume::open_tar(path) : volume::open_folder(path);
    FeatureSet set = extract(*tree, default_definition(), {clock, cancel});
    add_sidecar(path, set);
    return set;
}

std::string line_of(const std::string& run, const Ranking& ranking, std::size_t limit)
{
    Json items = Json::array();
    for (const Finding& finding : ranking.findings) {
        if (items.size() >= limit) {
            break;
        }
        Json members = Json::array();
        for (const auto& member : finding.members) {
            members.push_back({{"path", member.file}, {"setting", member.setting}});
        }
        items.push_back({{"path", finding.file},
                         {"setting", finding.setting},
                         {"score", finding.score},
                         {"value", json_or_null(finding.value)},
                         {"expected", json_or_null(finding.expected)},
                         {"reason", finding.reason},
                         {"members", members}});
    }
    return Json{{"run", run}, {"items", items}}.dump(
        -1, ' ', false, Json::error_handler_t::replace);
}

int run(const std::vector<std::string>& words)
{
    const std::filesystem::path folder = words.at(0);
    RankOptions options;
    bool named = false;
    std::size_t limit = 50;
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (words[i] == "--service") {
            named = true;
        } else if (words[i] == "--method") {
            options.method = method_from(words.at(++i));
        } else if (words[i] == "--limit") {
            limit = std::stoul(words.at(++i));
        }
    }
    Pool pool;
    std::vector<std::filesystem::path> members;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "fleet")) {
        if (entry.path().extension() != ".json") {
            members.push_back(entry.path());
        }
    }
    std::sort(members.begin(), members.end());
    auto begin = std::chrono::steady_clock::now();
    double pooling = 0;
    for (const auto& path : members) {
        const FeatureSet set = features_of(path);
        const auto start = std::chrono::steady_clock::now();
        pool.add(pool.read(path.stem(), set));
        pooling += seconds_since(start);
    }
    fmt::print(stderr,
               "{} VMs, {} nodes, read in {:.2f} s, pooled in {:.2f} s, {:.1f} MB\n",
               pool.live(),
               pool.nodes(),
               seconds_since(begin),
               pooling,
               static_cast<double>(pool.bytes()) / 1e6);
    const Json cases = parse_json(read_file(folder / "cases.json"), "cases.json");
    std::vector<Sample> samples;
    for (const Json& one : cases) {
        const std::filesystem::path path = folder / string_member(one, "target");
        samples.push_back(pool.read(string_member(one, "run"), features_of(path), true));
    }
    begin = std::chrono::steady_clock::now();
    const PeerModel model(pool);
    fmt::print(stderr, "model in {:.2f} s\n", seconds_since(begin));
    const bool scored = std::filesystem::exists(folder / "truth.json");
    const Json truth =
        scored ? parse_json(read_file(folder / "truth.json"), "truth.json") : Json::array();
    Score score(truth);
    double ranking_seconds = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        options.exclude.clear();
        if (const auto self = pool.find(string_member(cases[i], "self"))) {
            options.exclude.push_back(*self);
        }
        options.service = named ? string_member(cases[i], "service") : "";
        const auto start = std::chrono::steady_clock::now();
        const Ranking ranking = model.rank(samples[i], options);
        ranking_seconds += seconds_since(start);
        score.add(samples[i].name, ranking);
        fmt::print("{}\n", line_of(samples[i].name, ranking, limit));
    }
    fmt::print(stderr,
               "{:.1f} ms per ranking\n",
               1000 * ranking_seconds / static_cast<double>(samples.size()));
    if (scored) {
        fmt::print(stderr, "{}", score.report());
    }
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    try {
        const std::vector<std::string> words(argv + 1, argv + argc);
        if (words.empty()) {
            fmt::print(stderr, "usage: bench_peers FLEET_FOLDER [--service] [--method M]\n");
            return 2;
        }
        return run(words);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_peers: {}\n", error.what());
        return 1;
    }
}
