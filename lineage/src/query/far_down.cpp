#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "far_walk.hpp"

namespace stemma::lineage {

namespace {

class FarDown {
public:
    FarDown(Graph& graph, const std::set<Kind>& wanted) : graph_(graph), wanted_(wanted) {}

    void start(Node node)
    {
        switch (node.kind) {
        case Kind::source:
            return from_source(node);
        case Kind::artifact: {
            const auto output = Output::of(node);
            graph_.meet(output.build);
            return enter(output);
        }
        case Kind::package:
            packages_.insert(node.id);
            return;
        case Kind::image:
            images_.insert(node.id);
            return graph_.derived(node, [&](const Link& link) { images_.insert(link.to.id); });
        case Kind::vm:
            if (const auto placement = graph_.placements().of(node.id)) {
                hosts_.insert(placement->host);
            }
            return;
        case Kind::host:
            return;
        }
    }

    Nodes finish()
    {
        while (!open_.empty()) {
            const auto content = open_.front();
            open_.pop_front();
            queued_.erase(content);
            leave(content);
        }
        if (wants_beyond(Kind::package)) {
            find_images();
        }
        if (wants_beyond(Kind::image)) {
            graph_.placements().visit_images(images_, [&](std::int64_t vm, std::int64_t host) {
                vms_.push_back(vm);
                hosts_.insert(host);
            });
        }
        hosts_.erase(0);
        return nodes();
    }

private:
    [[nodiscard]] bool wants_beyond(Kind kind) const { return *wanted_.rbegin() > kind; }

    void from_source(Node node)
    {
        const auto content = graph_.content_of(node.id);
        std::optional<std::vector<Output>> outputs;
        for (const auto& use : graph_.uses_of_version(node.id)) {
            const auto* reader = graph_.meet(use.build);
            if (reader == nullptr || use.role.made()) {
                continue;
            }
            if (use.role.loose()) {
                outputs = outputs ? outputs : graph_.candidates(use.role, content);
                if (!graph_.producers(*reader, *outputs).empty()) {
                    continue; // another build's output, and not this source
                }
            }
            enter({use.build, use.file});
        }
        arrive(node, content);
    }

    /// A file of a build was reached: so is all that it goes into and that leaves the build.
    void enter(const Output& file)
    {
        if (!entered_.insert(file.node().id).second) {
            return;
        }
        const auto reach = graph_.builds().reach(file.build);
        if (!reach) {
            return;
        }
        for (const auto position : reach->outlets_of(file.file)) {
            const auto& outlet = reach->outlets[position];
            arrive(Output{file.build, outlet.file}.node(), outlet.content);
        }
    }

    /// Something with this content was reached. Who else has the content is looked at once for all
    /// that were reached with it.
    void arrive(Node node, std::int64_t content)
    {
        if (reached_[content].insert(node).second && queued_.insert(content).second) {
            open_.push_back(content);
        }
    }

    void leave(std::int64_t content)
    {
        const auto reached = reached_[content];
        for (const auto& inlet : graph_.inlets_of(content)) {
            const auto* reader = graph_.builds().row(inlet.build);
            if (reader == nullptr) {
                continue;
            }
            const auto producers = graph_.producers(*reader, graph_.outputs_of(content));
            const bool read =
                std::any_of(producers.begin(), producers.end(), [&](const Graph::Producer& one) {
                    return reached.count(one.output.node()) != 0;
                });
            if (read) {
                graph_.meet(inlet.build);
                enter(inlet);
            }
        }
        const auto is_reached = [&](const Graph::Origin& origin) {
            return reached.count(origin.node) != 0;
        };
        for (const auto& packed : graph_.packed_with(content)) {
            const auto origins = graph_.origins_of(content, packed.run);
            if (std::any_of(origins.begin(), origins.end(), is_reached)) {
                packages_.insert(packed.package);
            }
        }
        const auto holders = graph_.images().holders_of_content(content);
        if (!holders.empty()) {
            const auto origins = graph_.origins_of(content, std::nullopt);
            if (std::any_of(origins.begin(), origins.end(), is_reached)) {
                add(holders);
            }
        }
    }

    void add(const std::vector<Images::Holder>& holders)
    {
        for (const auto& holder : holders) {
            images_.insert(holder.image);
        }
    }

    void find_images()
    {
        for (const auto package : packages_) {
            add(graph_.images().holders_of_package(package));
            if (const auto content = graph_.content_of_package(package); content != 0) {
                add(graph_.images().holders_of_content(content));
            }
        }
    }

    [[nodiscard]] Nodes nodes()
    {
        Nodes found;
        const auto take = [&](Kind kind, const auto& ids) {
            if (wanted_.count(kind) != 0) {
                for (const auto id : ids) {
                    found.insert(found.end(), Node{kind, id});
                }
            }
        };
        std::sort(vms_.begin(), vms_.end());
        take(Kind::package, packages_);
        take(Kind::image, images_);
        take(Kind::vm, vms_);
        take(Kind::host, hosts_);
        return found;
    }

    Graph& graph_;
    const std::set<Kind>& wanted_;
    std::unordered_set<std::int64_t> entered_;        ///< files of builds, as nodes
    std::unordered_map<std::int64_t, Nodes> reached_; ///< by content
    std::deque<std::int64_t> open_;                   ///< contents
    std::unordered_set<std::int64_t> queued_;
    std::set<std::int64_t> packages_;
    std::set<std::int64_t> images_;
    std::vector<std::int64_t> vms_;
    std::set<std::int64_t> hosts_;
};

} // namespace

Nodes far_downstream(Query::Impl& query, const Nodes& from, const std::set<Kind>& wanted)
{
    FarDown walk(query.graph, wanted);
    for (const auto node : from) {
        walk.start(node);
    }
    auto found = walk.finish();
    for (const auto node : from) {
        found.erase(node);
    }
    return found;
}

} // namespace stemma::lineage
