// Recall of known faults, by all methods in one run.
//
//     bench_peers FLEET_FOLDER                        a table of all methods
//     bench_peers FLEET_FOLDER --method M [--service] one of them: by kind of fault, and each
//                                                     ranking as a line of JSON on stdout
//
// FLEET_FOLDER is made by bench/peers/make_fleet, or has the same shape: fleet/* are the peers,
// cases.json says which targets there are, truth.json what must be found in each.
#include "stemma/analyzer/extract.hpp"
#include "stemma/analyzer/peers.hpp"
#include "stemma/analyzer/sidecar.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"
#include "stemma/volume/filesystem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>

#include "score.hpp"

namespace {

using namespace stemma;
using namespace stemma::analyzer;

double processor_seconds()
{
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
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

/// A fleet in one pool, with the targets that are to be judged.
class Evaluation {
public:
    explicit Evaluation(const std::filesystem::path& folder)
        : cases_(parse_json(read_file(folder / "cases.json"), "cases.json")),
          truth_(parse_json(read_file(folder / "truth.json"), "truth.json"))
    {
        read_fleet(folder / "fleet");
        for (const Json& one : cases_) {
            samples_.push_back(pool_.read(string_member(one, "run"),
                                          features_of(folder / string_member(one, "target")),
                                          true));
        }
        const double begin = processor_seconds();
        model_.emplace(pool_);
        fmt::print(stderr,
                   "{} VMs, {} targets, {} nodes; model in {:.2f} s\n",
                   pool_.live(),
                   samples_.size(),
                   pool_.nodes(),
                   processor_seconds() - begin);
    }

    /// named  with the service that is broken, as an operator might know it
    /// use    gets each target's name and ranking
    template <typename Use>
    Score judge(Method method, bool named, const Use& use)
    {
        Score score(truth_);
        double seconds = 0;
        for (std::size_t i = 0; i < samples_.size(); ++i) {
            RankOptions options;
            options.method = method;
            if (const auto self = pool_.find(string_member(cases_[i], "self"))) {
                options.exclude.push_back(*self);
            }
            options.service = named ? string_member(cases_[i], "service") : "";
            const double begin = processor_seconds();
            const Ranking ranking = model_->rank(samples_[i], options);
            seconds += processor_seconds() - begin;
            score.add(samples_[i].name, ranking);
            use(samples_[i].name, ranking);
        }
        milliseconds_ = 1000 * seconds / static_cast<double>(samples_.size());
        return score;
    }

    /// Processor time per target of the last judge().
    [[nodiscard]] double milliseconds() const noexcept { return milliseconds_; }

private:
    void read_fleet(const std::filesystem::path& folder)
    {
        std::vector<std::filesystem::path> members;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            if (entry.path().extension() != ".json") {
                members.push_back(entry.path());
            }
        }
        std::sort(members.begin(), members.end());
        for (const auto& path : members) {
            pool_.add(pool_.read(path.stem(), features_of(path)));
        }
    }

    Json cases_;
    Json truth_;
    Pool pool_;
    std::vector<Sample> samples_;
    std::optional<PeerModel> model_;
    double milliseconds_ = 0;
};

void compare_methods(Evaluation& evaluation)
{
    fmt::print("method                        found  r@1   r@5   r@10  median  ms per VM\n");
    for (const Method method :
         {Method::diff, Method::tfidf, Method::peerpressure, Method::stemma}) {
        for (const bool named : {false, true}) {
            if (named && (method == Method::diff || method == Method::tfidf)) {
                continue;
            }
            const auto score =
                evaluation.judge(method, named, [](const std::string&, const Ranking&) {});
            fmt::print("{:<28}   {}  {:>8.1f}\n",
                       fmt::format("{}{}", to_string(method), named ? ", service named" : ""),
                       score.summary(),
                       evaluation.milliseconds());
        }
    }
}

int run(const std::vector<std::string>& words)
{
    std::optional<Method> method;
    bool named = false;
    std::size_t limit = 50;
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (words[i] == "--service") {
            named = true;
        } else if (words[i] == "--method") {
            method = method_from(words.at(++i));
        } else if (words[i] == "--limit") {
            limit = std::stoul(words.at(++i));
        } else {
            fmt::print(stderr, "bench_peers: no option {}\n", words[i]);
            return 2;
        }
    }
    Evaluation evaluation(words.at(0));
    if (!method && !named) {
        compare_methods(evaluation);
        return 0;
    }
    const auto score = evaluation.judge(
        method.value_or(Method::stemma), named, [&](const std::string& name, const Ranking& all) {
            fmt::print("{}\n", line_of(name, all, limit));
        });
    fmt::print(stderr, "{}{:.1f} ms per VM\n", score.report(), evaluation.milliseconds());
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    try {
        const std::vector<std::string> words(argv + 1, argv + argc);
        if (words.empty() || words[0].starts_with("-")) {
            fmt::print(stderr,
                       "usage: bench_peers FLEET_FOLDER [--method M] [--service] [--limit N]\n"
                       "make a fleet: bench/peers/make_fleet FOLDER --vms 100 --seed $RANDOM\n");
            return 2;
        }
        return run(words);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_peers: {}\n", error.what());
        return 1;
    }
}
