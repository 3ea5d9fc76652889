#include "builds.hpp"

#include "stemma/core/error.hpp"

namespace stemma::lineage {

namespace {

/// Lists, for each file, the steps that `visit_files` names it for.
template <typename VisitFiles>
void invert(std::size_t files,
            const std::vector<BuildGraph::Edge>& steps,
            std::pair<std::vector<std::uint32_t>&, std::vector<std::uint32_t>&> out,
            VisitFiles visit_files)
{
    auto& [starts, found] = out;
    starts.assign(files + 1, 0);
    for (const auto& step : steps) {
        visit_files(step, [&](model::FileIndex file) { ++starts[file + 1]; });
    }
    for (std::size_t i = 1; i < starts.size(); ++i) {
        starts[i] += starts[i - 1];
    }
    found.resize(starts.back());
    auto next = starts;
    for (std::uint32_t i = 0; i < steps.size(); ++i) {
        visit_files(steps[i], [&](model::FileIndex file) { found[next[file]++] = i; });
    }
}

} // namespace

void Build::index()
{
    invert(
        graph.files.size(), graph.steps, {user_starts_, users_}, [](const auto& step, auto visit) {
            for (const auto file : step.inputs) {
                visit(file);
            }
            if (step.tool) {
                visit(*step.tool);
            }
        });
    invert(graph.files.size(),
           graph.steps,
           {maker_starts_, makers_},
           [](const auto& step, auto visit) {
               for (const auto file : step.outputs) {
                   visit(file);
               }
           });
}

std::shared_ptr<const Build> Builds::get(std::int64_t id)
{
    if (const auto at = found_.find(id); at != found_.end()) {
        recent_.splice(recent_.begin(), recent_, at->second);
        return at->second->second;
    }
    auto& row =
        store_.db.cached("SELECT seq, run, name, repo, revision, branch, dirty, holes, started, "
                         "finished, graph FROM build WHERE id = ? AND seq <= ?");
    row.bind(id, known_at_);
    std::shared_ptr<Build> build;
    if (row.step()) {
        build = std::make_shared<Build>();
        build->id = id;
        build->seq = static_cast<std::uint64_t>(row.integer(0));
        build->run = row.text(1);
        build->name = row.text(2);
        build->repo = row.integer(3);
        build->revision = row.optional_text(4);
        build->branch = row.optional_text(5);
        build->dirty = row.integer(6);
        build->holes = row.integer(7);
        build->started = row.integer(8);
        build->finished = row.integer(9);
        build->graph =
            doing([&] { return decode_graph(row.view(10)); }, "reading build {}", row.view(1));
        build->index();
    }
    row.reset();
    recent_.emplace_front(id, build);
    found_[id] = recent_.begin();
    if (recent_.size() > kept) {
        found_.erase(recent_.back().first);
        recent_.pop_back();
    }
    return build;
}

std::optional<std::int64_t> Builds::of_run(std::string_view run)
{
    auto& row = store_.db.cached("SELECT id FROM build WHERE run = ? AND seq <= ?");
    row.bind(run, known_at_);
    std::optional<std::int64_t> id;
    if (row.step()) {
        id = row.integer(0);
    }
    row.reset();
    return id;
}

} // namespace stemma::lineage
