// Ingest and questions of the lineage on a made-up fleet.
//
//     bench_lineage [--builds N] [--sources N] [--inputs N] [--images N] [--vms N] [--hosts N]
//     [--moves N] [--seed N] [--naive 0]
//
// Prints one JSON object: the load, then CPU seconds, links per second, bytes per link (of the
// whole file, and of the file when only builds and packages were in it), the times of each question
// in CPU milliseconds, and the memory that a process keeps for them; under "naive" the same of a
// schema of one row per link, fed with the same events in the same run, unless --naive 0. --moves
// are what happens to VMs after they were deployed: migrated, re-imaged, retired. Everything
// follows from the seed. Fails when the two give different answers.

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/lineage/query.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <utility>

#include "arguments.hpp"
#include "naive.hpp"

namespace {

using namespace stemma;

using bench::Load;

const Load usual_load = {{{"builds", 20},
                          {"sources", 450},
                          {"inputs", 330},
                          {"images", 1000},
                          {"vms", 10000},
                          {"moves", 20000},
                          {"hosts", 200},
                          {"naive", 1},
                          {"seed", 1}}};

double cpu_seconds()
{
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Time at(std::uint64_t seconds)
{
    return Time(std::chrono::seconds(1'700'000'000 + seconds));
}

std::string sha(const std::string& text)
{
    return sha256(text).hex();
}

/// Builds of one repository: each changes a few files, and compiles, archives and links everything.
class World {
public:
    explicit World(const Load& load)
        : load_(load), random_(load["seed"]), versions_(load["sources"] * 7, 1)
    {
    }

    model::Event build(std::uint64_t number, std::uint64_t& links)
    {
        for (int i = 0; i < 20; ++i) {
            ++versions_[random_() % versions_.size()];
        }
        model::Manifest manifest;
        manifest.build = {
            "bench", "bench", sha(fmt::format("commit {}", number)).substr(0, 40), "main", {}, ""};
        manifest.run = {make_uuid5(stemma_uuid_space, fmt::format("run {}", number)),
                        at(number * 100),
                        at(number * 100),
                        "m",
                        "u",
                        "/"};
        for (std::size_t i = 0; i < versions_.size(); ++i) {
            add(manifest,
                i < load_["sources"] ? fmt::format("src/{:04}.cc", i)
                                     : fmt::format("include/{:05}.hpp", i),
                fmt::format("{} {}", i, versions_[i]),
                model::FileState::clean);
        }
        const auto objects = manifest.files.size();
        std::string all;
        for (std::uint64_t i = 0; i < load_["sources"]; ++i) {
            compile(manifest, i);
            all += manifest.files.back().sha256.hex();
        }
        link(manifest, objects, all);
        for (const auto& step : manifest.steps) {
            links += step.inputs.size();
        }
        program_ = manifest.files[manifest.artifacts.back().file].sha256.hex();
        run_ = manifest.run.id;
        model::normalise(manifest);
        return said(
            "ci", number * 100, "build.recorded", Json{{"manifest", model::to_json(manifest)}});
    }

    model::Event package(std::uint64_t number)
    {
        const Json entry = {{"kind", "deb"},
                            {"name", "bench"},
                            {"sha256", sha(fmt::format("deb {}", number))},
                            {"purl", fmt::format("pkg:deb/bench@{}?arch=amd64", number)},
                            {"path", "x"}};
        packages_.push_back(entry);
        return said("packer",
                    number * 100 + 1,
                    "package.packed",
                    Json{{"purl", entry["purl"]},
                         {"name", "bench"},
                         {"version", std::to_string(number)},
                         {"arch", "amd64"},
                         {"sha256", entry["sha256"]},
                         {"file", "x"},
                         {"build", run_},
                         {"payload",
                          {{{"path", "/usr/bin/bench"},
                            {"sha256", program_},
                            {"mode", 493},
                            {"size", 1},
                            {"link", "content"},
                            {"artifact", program_},
                            {"basis", ""}}}}});
    }

    /// Each role has a line of up to 500 images; every fiftieth of a line has the newest package of
    /// its time, which ends with the last build.
    model::Event image(std::uint64_t number, std::uint64_t time)
    {
        const auto roles = 1 + std::min<std::uint64_t>(load_["images"] / 500, 1'000'000);
        const bool first = number < roles;
        const bool installs = number / roles % 50 == 0;
        const auto& newest = packages_[number * packages_.size() / load_["images"]];
        const Json parent = first ? Json() : Json(sha(fmt::format("image {}", number - roles)));
        return said("imager",
                    time,
                    "image.created",
                    Json{{"name", fmt::format("image-{}", number)},
                         {"digest", sha(fmt::format("image {}", number))},
                         {"parent", parent},
                         {"format", "qcow2"},
                         {"size", 1},
                         {"path", ""},
                         {"os", ""},
                         {"installed", installs ? Json::array({newest}) : Json::array()},
                         {"removed", Json::array()},
                         {"packages", Json::array()}});
    }

    model::Event vm(std::uint64_t number, std::uint64_t time)
    {
        hosts_of_vms_.push_back(fmt::format("host-{}", random_() % load_["hosts"]));
        return deployed(number, time);
    }

    /// Half of what happens later are migrations, the rest new images and ends; no end of the first
    /// VMs, of which a question asks.
    model::Event move(std::uint64_t time)
    {
        constexpr std::uint64_t asked_for = 200;
        auto vm = random_() % hosts_of_vms_.size();
        while (hosts_of_vms_[vm].empty()) { // retired
            vm = random_() % hosts_of_vms_.size();
        }
        auto& host = hosts_of_vms_[vm];
        const auto kind = random_() % 4;
        const Json body = {{"uuid", vm_uuid(vm)}, {"name", fmt::format("vm-{}", vm)}};
        if (kind < 2) {
            const auto from =
                std::exchange(host, fmt::format("host-{}", random_() % load_["hosts"]));
            auto moved = body;
            moved["from"] = from;
            moved["to"] = host;
            return said(host, time, "vm.migrated", std::move(moved));
        }
        if (kind == 2 || vm < asked_for) {
            return deployed(vm, time);
        }
        auto ended = body;
        ended["reason"] = "removed";
        return said(std::exchange(host, ""), time, "vm.retired", std::move(ended));
    }

private:
    static std::string vm_uuid(std::uint64_t number)
    {
        return make_uuid5(stemma_uuid_space, fmt::format("vm {}", number));
    }

    model::Event deployed(std::uint64_t number, std::uint64_t time)
    {
        const auto& host = hosts_of_vms_[number];
        return said(host,
                    time,
                    "vm.deployed",
                    Json{{"uuid", vm_uuid(number)},
                         {"name", fmt::format("vm-{}", number)},
                         {"host", host},
                         {"image", sha(fmt::format("image {}", random_() % load_["images"]))},
                         {"release", ""},
                         {"state", "running"}});
    }

    static model::FileIndex add(model::Manifest& manifest,
                                const std::string& path,
                                const std::string& content,
                                model::FileState state)
    {
        model::File file;
        file.path = path;
        file.repo = "bench";
        file.sha256 = sha256(content);
        file.size = 100;
        file.state = state;
        manifest.files.push_back(file);
        return static_cast<model::FileIndex>(manifest.files.size() - 1);
    }

    void compile(model::Manifest& manifest, std::uint64_t source) const
    {
        model::Step step;
        step.kind = model::StepKind::compile;
        step.argv = {"c++", fmt::format("{}", source)};
        step.inputs.push_back(static_cast<model::FileIndex>(source));
        // Neighbours share most of their headers; header 0 is read by all.
        std::mt19937_64 own(source / 15);
        std::string content = fmt::format("{}", source);
        std::set<model::FileIndex> headers = {static_cast<model::FileIndex>(load_["sources"])};
        while (headers.size() < load_["inputs"] - 1) {
            headers.insert(
                static_cast<model::FileIndex>(load_["sources"] + own() % (load_["sources"] * 6)));
        }
        step.inputs.insert(step.inputs.end(), headers.begin(), headers.end());
        for (const auto input : step.inputs) {
            content += std::to_string(versions_[input]);
        }
        step.outputs = {add(
            manifest, fmt::format("build/{:04}.o", source), content, model::FileState::generated)};
        manifest.steps.push_back(std::move(step));
    }

    static void link(model::Manifest& manifest, std::size_t objects, const std::string& all)
    {
        model::Step step;
        step.kind = model::StepKind::link;
        step.argv = {"ld"};
        for (auto i = objects; i < manifest.files.size(); ++i) {
            step.inputs.push_back(static_cast<model::FileIndex>(i));
        }
        step.outputs = {add(manifest, "build/bench", all, model::FileState::generated)};
        model::Artifact artifact;
        artifact.file = step.outputs[0];
        artifact.name = "bench";
        artifact.kind = model::ArtifactKind::executable;
        artifact.step = static_cast<std::uint32_t>(manifest.steps.size());
        manifest.steps.push_back(std::move(step));
        manifest.artifacts.push_back(artifact);
    }

    model::Event
    said(const std::string& origin, std::uint64_t time, const std::string& kind, Json body)
    {
        return {origin, ++oseq_[origin], at(time), kind, std::move(body)};
    }

    const Load& load_;
    std::mt19937_64 random_;
    std::vector<std::uint64_t> versions_;
    std::map<std::string, std::uint64_t> oseq_;
    std::string program_;
    std::string run_;
    std::vector<Json> packages_;            ///< as an image installs them
    std::vector<std::string> hosts_of_vms_; ///< empty: it was retired
};

double median(std::vector<double> times)
{
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

/// One question as it is asked of the store: what it finds.
using Asking = std::function<lineage::Nodes(lineage::Query&)>;

lineage::Nodes select(lineage::Query& query, const std::string& selector)
{
    const std::vector<std::string> words = {selector};
    return query.select(
        lineage::parse_selection(words, [](const std::string&) { return std::string(); }));
}

Asking hosts_of(const std::string& path)
{
    return [=](lineage::Query& query) {
        return query.downstream(select(query, "file:" + path), {lineage::Kind::host});
    };
}

Asking sources_of(const std::string& selector)
{
    return [=](lineage::Query& query) {
        return query.upstream(select(query, selector), {lineage::Kind::source});
    };
}

Asking sources_since(const std::string& selector, Time since)
{
    return [=](lineage::Query& query) {
        auto nodes = query.upstream(select(query, selector), {lineage::Kind::source});
        std::erase_if(nodes, [&](lineage::Node node) {
            const auto first = query.first_seen(node);
            return !first || *first < since;
        });
        return nodes;
    };
}

Asking shared_sources(const std::string& selector)
{
    return [=](lineage::Query& query) {
        return query.common(select(query, selector), {lineage::Kind::source});
    };
}

lineage::Nodes outdated_vms(lineage::Query& query)
{
    lineage::Nodes nodes;
    for (const auto& found : query.outdated("")) {
        if (found.node.kind == lineage::Kind::vm) {
            nodes.insert(found.node);
        }
    }
    return nodes;
}

/// Opens stores and asks them; a store that is kept answers from what it read before.
class Asker {
public:
    explicit Asker(std::string path) : path_(std::move(path)), kept_(open()) {}

    /// CPU milliseconds of opening and asking anew, of asking again, and of asking again and
    /// making the items that are shown.
    Json measure(const Asking& asking)
    {
        std::vector<double> fresh;
        std::vector<double> again;
        std::vector<double> shown;
        std::size_t found = 0;
        for (int round = 0; round < 5; ++round) {
            fresh.push_back(milliseconds([&] {
                const auto store = open();
                lineage::Query query(*store, {});
                found = asking(query).size();
            }));
            again.push_back(milliseconds([&] {
                lineage::Query query(*kept_, {});
                asking(query);
            }));
            shown.push_back(milliseconds([&] {
                lineage::Query query(*kept_, {});
                query.items(asking(query));
            }));
        }
        return {{"fresh_ms", median(fresh)},
                {"first_ms", again.front()},
                {"again_ms", median(again)},
                {"again_with_items_ms", median(shown)},
                {"found", found}};
    }

    /// Ends the store that was kept.
    /// returns  MiB that it held, pages of its file included
    double forget()
    {
        const auto before = allocated();
        kept_.reset();
        return static_cast<double>(before - allocated()) / (1 << 20);
    }

private:
    static std::size_t allocated()
    {
        const auto info = ::mallinfo2();
        return info.uordblks + info.hblkhd;
    }

    std::unique_ptr<lineage::Store> open()
    {
        return lineage::Store::open(path_, lineage::Store::Mode::read, clock_, log_);
    }

    template <typename Work>
    static double milliseconds(Work work)
    {
        const double begin = cpu_seconds();
        work();
        return (cpu_seconds() - begin) * 1000;
    }

    std::string path_;
    SystemClock clock_;
    NullLog log_;
    std::unique_ptr<lineage::Store> kept_;
};

/// Hands the same events to the store and, where it is wanted, to the naive tables.
class Bench {
public:
    explicit Bench(const Load& load)
        : load_(load),
          folder_("stemma-bench-lineage"),
          path_(folder_.path() / "lineage.db"),
          store_(lineage::Store::open(path_, lineage::Store::Mode::write, clock_, log_)),
          world_(load)
    {
        if (load["naive"] != 0) {
            naive_.emplace(folder_.path() / "naive.db");
        }
    }

    Json run()
    {
        fill_builds();
        const auto bytes_of_builds = size();
        fill_fleet();
        store_.reset();
        const auto bytes = std::filesystem::file_size(path_);
        Json result = {{"load", load_.numbers},
                       {"links", links_},
                       {"build_ingest_cpu_s", builds_.store},
                       {"links_per_cpu_s", static_cast<double>(links_) / builds_.store},
                       {"fleet_events_per_cpu_s", static_cast<double>(fleet_) / rest_.store},
                       {"store_bytes", bytes},
                       {"bytes_per_link", static_cast<double>(bytes) / static_cast<double>(links_)},
                       {"bytes_per_link_of_builds",
                        static_cast<double>(bytes_of_builds) / static_cast<double>(links_)}};
        ask(result);
        if (naive_) {
            const auto naive_bytes = std::filesystem::file_size(folder_.path() / "naive.db");
            result["naive"]["links_per_cpu_s"] = static_cast<double>(links_) / builds_.naive;
            result["naive"]["bytes_per_link"] =
                static_cast<double>(naive_bytes) / static_cast<double>(links_);
        }
        return result;
    }

private:
    struct Spent {
        double store = 0;
        double naive = 0;
    };

    void take(std::span<const model::Event> events, Spent& spent)
    {
        const double begin = cpu_seconds();
        store_->append(events);
        const double between = cpu_seconds();
        spent.store += between - begin;
        if (naive_) {
            naive_->begin();
            for (const auto& event : events) {
                naive_->take(event);
            }
            naive_->commit();
            spent.naive += cpu_seconds() - between;
        }
    }

    /// Bytes of the store's file, with what is in its log.
    std::uintmax_t size()
    {
        store_.reset(); // the last one to close brings the log in
        const auto bytes = std::filesystem::file_size(path_);
        store_ = lineage::Store::open(path_, lineage::Store::Mode::write, clock_, log_);
        return bytes;
    }

    void fill_builds()
    {
        for (std::uint64_t i = 0; i < load_["builds"]; ++i) {
            const auto built = world_.build(i, links_);
            take({&built, 1}, builds_);
            const auto packed = world_.package(i);
            take({&packed, 1}, builds_);
        }
    }

    void fill_fleet()
    {
        std::vector<model::Event> rest;
        for (std::uint64_t i = 0; i < load_["images"]; ++i) {
            rest.push_back(world_.image(i, 1'000'000 + i));
        }
        for (std::uint64_t i = 0; i < load_["vms"]; ++i) {
            rest.push_back(world_.vm(i, 2'000'000 + i));
        }
        for (std::uint64_t i = 0; i < load_["moves"]; ++i) {
            rest.push_back(world_.move(2'000'000 + load_["vms"] + i));
        }
        fleet_ = rest.size();
        for (std::size_t from = 0; from < rest.size(); from += 1000) {
            take(std::span(rest).subspan(from, std::min<std::size_t>(1000, rest.size() - from)),
                 rest_);
        }
    }

    void ask(Json& result)
    {
        const auto hot = fmt::format("include/{:05}.hpp", load_["sources"]);
        const std::string source = "src/0007.cc";
        const auto late = at(load_["builds"] * 50); // the second half of the builds
        const std::string ten = "vm:vm-10?";
        Asker asker(path_);
        compare(result, asker, "hosts_of_a_source", hosts_of(source), [&] {
            return naive_->hosts_of_file(source);
        });
        compare(result, asker, "hosts_of_a_hot_header", hosts_of(hot), [&] {
            return naive_->hosts_of_file(hot);
        });
        compare(result, asker, "sources_of_a_host", sources_of("host:host-1"), [&] {
            return naive_->sources_of_host("host-1", at(0)).size();
        });
        compare(result, asker, "changed_on_a_host", sources_since("host:host-1", late), [&] {
            return naive_->sources_of_host("host-1", late).size();
        });
        compare(result, asker, "out_of_date", outdated_vms, [&] { return naive_->outdated_vms(); });
        compare(result, asker, "common_to_ten_vms", shared_sources(ten), [&] {
            return naive_->shared_sources("vm-10_");
        });
        result["kept_mib"] = asker.forget();
    }

    /// The times of the store, and of the naive tables, which must find as much.
    void compare(Json& result,
                 Asker& asker,
                 const char* name,
                 const Asking& asking,
                 const std::function<std::size_t()>& naive)
    {
        result[name] = asker.measure(asking);
        if (naive_) {
            const double begin = cpu_seconds();
            const auto found = naive();
            result["naive"][name] = (cpu_seconds() - begin) * 1000;
            require_equal(name, found, result[name]["found"].get<std::size_t>());
        }
    }

    static void require_equal(const char* name, std::size_t naive, std::size_t store)
    {
        if (naive != store) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: {} by naive joins, {} by the store", name, naive, store));
        }
    }

    const Load& load_;
    SystemClock clock_;
    NullLog log_;
    TemporaryFolder folder_;
    std::string path_;
    std::unique_ptr<lineage::Store> store_;
    World world_;
    std::optional<bench::Naive> naive_;
    std::uint64_t links_ = 0;
    std::size_t fleet_ = 0;
    Spent builds_;
    Spent rest_;
};

} // namespace

int main(int argc, char** argv)
{
    try {
        Load load = usual_load;
        load.read(argc, argv);
        std::puts(Bench(load).run().dump(2).c_str());
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_lineage: %s\n", error.what());
        return 1;
    }
}
