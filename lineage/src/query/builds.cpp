#include "builds.hpp"

#include "stemma/core/error.hpp"

#include "../store/lines.hpp"

namespace stemma::lineage {

namespace {

/// Lists, for each file, the steps that `visit_files` names it for.
template <typename VisitFiles>
void invert(std::size_t files,
            const std::vector<BuildGraph::Edge>& steps,
            std::pair<std::vector<std::uint32_t>&, std::vector<std::uint32_t>&> out,
            VisitFiles visit_files)
{
    auto& starts = out.first; // no structured binding: clang 14 captures none in a lambda
    auto& found = out.second;
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

const BuildRow* Builds::row(std::int64_t id)
{
    const auto [found, fresh] = rows_.try_emplace(id);
    if (!fresh) {
        return found->second ? &*found->second : nullptr;
    }
    auto& row = store_.db.cached("SELECT seq, run, name, repo, revision, branch, dirty, holes, "
                                 "started, finished FROM build WHERE id = ? AND seq <= ?");
    row.bind(id, known_at_);
    if (row.step()) {
        found->second = BuildRow{id,
                                 static_cast<std::uint64_t>(row.integer(0)),
                                 row.text(1),
                                 row.text(2),
                                 row.integer(3),
                                 row.optional_text(4),
                                 row.optional_text(5),
                                 row.integer(6),
                                 row.integer(7),
                                 row.integer(8),
                                 row.integer(9)};
    }
    row.reset();
    return found->second ? &*found->second : nullptr;
}

namespace {

std::shared_ptr<const Build> read_build(sqlite::Database& db, const BuildRow& known)
{
    auto build = std::make_shared<Build>();
    static_cast<BuildRow&>(*build) = known;
    auto& row = db.cached("SELECT files FROM build_reach WHERE build = ?");
    row.bind(known.id);
    const bool found = row.step();
    if (found) {
        build->graph.files = decode_files(row.view(0));
    }
    row.reset();
    if (found) {
        read_steps(db, known.id, build->graph);
    }
    build->index();
    return build;
}

} // namespace

std::shared_ptr<const Build> Builds::get(std::int64_t id)
{
    if (const auto at = found_.find(id); at != found_.end()) {
        recent_.splice(recent_.begin(), recent_, at->second);
        return at->second->second;
    }
    std::shared_ptr<const Build> build;
    if (const auto* known = row(id)) {
        build =
            doing([&] { return read_build(store_.db, *known); }, "reading build {}", known->run);
    }
    recent_.emplace_front(id, build);
    found_[id] = recent_.begin();
    if (recent_.size() > kept) {
        found_.erase(recent_.back().first);
        recent_.pop_back();
    }
    return build;
}

namespace {

/// What `decode` makes of the blob in the one row of a statement.
template <typename Decode>
auto read_blob(sqlite::Statement& row, const BuildRow& build, Decode decode)
{
    using Value = decltype(decode(std::string_view()));
    std::shared_ptr<const Value> value;
    if (row.step()) {
        value = doing([&] { return std::make_shared<const Value>(decode(row.view(0))); },
                      "reading build {}",
                      build.run);
    }
    row.reset();
    return value;
}

} // namespace

std::shared_ptr<const BuildGraph::Files> Builds::files(std::int64_t id)
{
    const auto [found, fresh] = files_.try_emplace(id);
    if (const auto* known = fresh ? row(id) : nullptr) {
        auto& blob = store_.db.cached("SELECT files FROM build_reach WHERE build = ?");
        found->second = read_blob(blob.bind(id), *known, decode_files);
    }
    return found->second;
}

std::shared_ptr<const Reach> Builds::reach(std::int64_t id)
{
    const auto [found, fresh] = reaches_.try_emplace(id);
    if (const auto* known = fresh ? row(id) : nullptr) {
        auto& blob = store_.db.cached("SELECT reach FROM build_reach WHERE build = ?");
        found->second = read_blob(blob.bind(id), *known, decode_reach);
    }
    return found->second;
}

std::optional<std::int64_t> Builds::of_run(std::string_view run)
{
    const auto [found, fresh] = runs_.try_emplace(std::string(run));
    if (fresh) {
        auto& row = store_.db.cached("SELECT id FROM build WHERE run = ? AND seq <= ?");
        row.bind(run, known_at_);
        if (row.step()) {
            found->second = row.integer(0);
        }
        row.reset();
    }
    return found->second;
}

} // namespace stemma::lineage
