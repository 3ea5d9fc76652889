#include <algorithm>
#include <deque>
#include <tuple>
#include <unordered_map>

#include "../store/reach.hpp"
#include "far_walk.hpp"

namespace stemma::lineage {

namespace {

class FarUp {
public:
    explicit FarUp(Query::Impl& query) : query_(query), graph_(query.graph) {}

    void start(Node node)
    {
        switch (node.kind) {
        case Kind::source:
            return;
        case Kind::artifact:
            starts_.insert(node);
            return enter(Output::of(node));
        case Kind::package:
            packages_.insert(node.id);
            return;
        case Kind::image:
            images_.insert(node.id);
            return;
        case Kind::vm:
            if (const auto placement = graph_.placements().of(node.id)) {
                run_by(placement->image);
            }
            return;
        case Kind::host:
            for (const auto& placement : graph_.placements().on_host(node.id)) {
                vms_.insert(placement.vm);
                run_by(placement.image);
            }
            return;
        }
    }

    Nodes finish(const std::set<Kind>& wanted, bool generated)
    {
        generated_ = generated;
        for (const auto image : images_) {
            to_image(image);
        }
        for (const auto package : packages_) {
            to_package(package);
        }
        while (!open_.empty()) {
            const auto build = open_.front();
            open_.pop_front();
            to_build(build);
        }
        return nodes(wanted);
    }

private:
    /// What was reached of one build.
    struct Part {
        std::vector<model::FileIndex> fresh; ///< outputs that were not looked at yet
        std::vector<bool> reached;           ///< per file
    };

    void run_by(std::int64_t image)
    {
        if (image == 0) {
            graph_.note("a VM", "the image that it runs is not known");
        } else {
            images_.insert(image);
        }
    }

    void enter(const Output& output)
    {
        auto& part = parts_[output.build];
        if (part.reached.size() > output.file && part.reached[output.file]) {
            return;
        }
        if (part.fresh.empty()) {
            open_.push_back(output.build);
        }
        part.fresh.push_back(output.file);
    }

    /// build  whose steps or packing led here; 0: none
    void enter(const Node& node, std::int64_t build)
    {
        if (node.kind == Kind::artifact) {
            enter(Output::of(node));
        } else {
            read_by_[build].push_back(node.id);
        }
    }

    void to_image(std::int64_t image)
    {
        auto& images = graph_.images();
        if (!images.seq(image)) {
            graph_.note("an image that a VM runs",
                        "no event describes it: what is in it is unknown");
            return;
        }
        for (const auto& contained : images.packages_in(image)) {
            packages_.insert(contained.package);
        }
        for (const auto& file : images.files_in(image)) {
            if (const auto package = graph_.package_with(file.content); package != 0) {
                packages_.insert(package);
                continue;
            }
            const auto origins = graph_.origins_of(file.content, std::nullopt);
            if (origins.empty()) {
                graph_.note_unexplained_file(file.path);
            }
            for (const auto& origin : origins) {
                enter(origin.node, 0);
            }
        }
    }

    void to_package(std::int64_t package)
    {
        const auto packed = graph_.packed_in(package);
        if (packed.empty()) {
            graph_.note_unknown_package(package);
        }
        for (const auto& file : packed) {
            if (file.content == 0) {
                continue; // a folder or a symbolic link
            }
            const auto origins = graph_.origins_of(file.content, file.run);
            if (origins.empty()) {
                graph_.note_unexplained(file);
            }
            for (const auto& origin : origins) {
                enter(origin.node, graph_.packer_of(file.run));
            }
        }
    }

    /// Everything of a build that goes into its fresh outputs.
    void to_build(std::int64_t id)
    {
        const auto fresh = std::move(parts_[id].fresh);
        parts_[id].fresh.clear();
        const auto* build = graph_.meet(id);
        const auto files = graph_.builds().files(id);
        const auto reach = graph_.builds().reach(id);
        if (build == nullptr || !files || !reach) {
            return;
        }
        const auto found = ancestry(*build, *files, *reach, fresh);
        auto& reached = parts_[id].reached;
        reached.resize(files->size(), false);
        for (model::FileIndex file = 0; file < files->size(); ++file) {
            if (found[file] && !reached[file]) {
                reached[file] = true;
                reach_file(*build, *files, *reach, file);
            }
        }
    }

    /// Per file, whether it goes into one of the outputs.
    std::vector<bool> ancestry(const BuildRow& build,
                               const BuildGraph::Files& files,
                               const Reach& reach,
                               const std::vector<model::FileIndex>& outputs)
    {
        std::vector<std::uint32_t> positions;
        std::vector<bool> found(files.size(), false);
        for (const auto output : outputs) {
            if (!files.roles.at(output).made()) {
                graph_.note_unobserved(build, output);
                artifacts_.push_back(Output{build.id, output}.node().id);
            } else if (const auto position = reach.outlet_at(output)) {
                positions.push_back(*position);
            } else {
                add_ancestry(build.id, output, found);
            }
        }
        if (!positions.empty()) {
            const auto into = reach.classes_into(positions);
            for (std::size_t file = 0; file < found.size(); ++file) {
                found[file] = found[file] || into[reach.class_of[file]];
            }
        }
        return found;
    }

    void add_ancestry(std::int64_t build, model::FileIndex output, std::vector<bool>& found)
    {
        const auto whole = graph_.builds().get(build);
        const auto more = Ancestry(whole->graph).of(output);
        for (std::size_t file = 0; file < found.size(); ++file) {
            found[file] = found[file] || more[file];
        }
    }

    void reach_file(const BuildRow& build,
                    const BuildGraph::Files& files,
                    const Reach& reach,
                    model::FileIndex file)
    {
        const auto role = files.roles[file];
        const std::int64_t version = files.versions[file];
        if (role.made()) {
            artifacts_.push_back(Output{build.id, file}.node().id);
            if (role.generated() && generated_ &&
                starts_.count(Output{build.id, file}.node()) == 0) {
                read_by_[build.id].push_back(version);
            }
            return;
        }
        if (role.loose() && reach.is_inlet(file)) {
            const auto producers =
                graph_.producers(build, graph_.candidates(role, graph_.content_of(version)));
            for (const auto& producer : producers) {
                enter(producer.output);
            }
            if (!producers.empty()) {
                return;
            }
        }
        read_by_[build.id].push_back(version);
    }

    /// Sources, each once; the newest build through which it was met speaks for it.
    std::vector<std::int64_t> sources()
    {
        std::vector<std::int64_t> builds;
        for (const auto& [build, versions] : read_by_) {
            builds.push_back(build);
        }
        const auto age = [&](std::int64_t build) {
            const auto* row = graph_.builds().row(build);
            return row != nullptr ? std::tuple(1, row->finished, std::string_view(row->run))
                                  : std::tuple(0, std::int64_t{0}, std::string_view());
        };
        std::sort(builds.begin(), builds.end(), [&](std::int64_t a, std::int64_t b) {
            return age(a) > age(b);
        });
        std::vector<bool> seen;
        std::vector<std::int64_t> found;
        for (const auto build : builds) {
            for (const auto version : read_by_[build]) {
                const auto at = static_cast<std::size_t>(version);
                if (at >= seen.size()) {
                    seen.resize(at + at / 2 + 1, false);
                }
                if (seen[at]) {
                    continue;
                }
                seen[at] = true;
                found.push_back(version);
                if (build != 0) {
                    auto& known = query_.seen_in[version]; // by a question before
                    known = known == 0 ? build : query_.newer(known, build);
                }
            }
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    Nodes nodes(const std::set<Kind>& wanted)
    {
        Nodes found;
        const auto take = [&](Kind kind, const auto& ids) {
            if (wanted.empty() || wanted.count(kind) != 0) {
                for (const auto id : ids) {
                    found.insert(found.end(), Node{kind, id});
                }
            }
        };
        if (wanted.empty() || wanted.count(Kind::source) != 0) {
            take(Kind::source, sources());
        }
        std::sort(artifacts_.begin(), artifacts_.end());
        take(Kind::artifact, artifacts_);
        take(Kind::package, packages_);
        take(Kind::image, images_);
        take(Kind::vm, vms_);
        return found;
    }

    Query::Impl& query_;
    Graph& graph_;
    bool generated_ = false;
    Nodes starts_;                        ///< artifacts that were asked for
    std::vector<std::int64_t> artifacts_; ///< as nodes
    std::set<std::int64_t> vms_;
    std::set<std::int64_t> images_;
    std::set<std::int64_t> packages_;
    std::unordered_map<std::int64_t, Part> parts_; ///< by build
    std::deque<std::int64_t> open_;                ///< builds with fresh outputs
    /// Sources by the build that read them; 0: put into an image by nobody's build.
    std::unordered_map<std::int64_t, std::vector<std::int64_t>> read_by_;
};

} // namespace

Nodes far_upstream(Query::Impl& query,
                   const Nodes& of,
                   const std::set<Kind>& wanted,
                   bool generated)
{
    FarUp walk(query);
    for (const auto node : of) {
        walk.start(node);
    }
    auto found = walk.finish(wanted, generated);
    for (const auto node : of) {
        found.erase(node);
    }
    return found;
}

} // namespace stemma::lineage
