#include "stemma/core/error.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "build_graph.hpp"
#include "crossings.hpp"
#include "ids.hpp"
#include "lines.hpp"

namespace stemma::lineage {

using sqlite::Blob;

namespace {

std::int64_t element_id(sqlite::Database& db, std::int64_t repo, std::string_view path)
{
    auto& found = db.cached("SELECT id FROM element WHERE path = ? AND repo = ?");
    found.bind(path, repo);
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    db.cached("INSERT INTO element(repo, path) VALUES (?, ?)").bind(repo, path).run();
    return db.last_insert_id();
}

/// Rows of a manifest's files; remembers what it asks for again and again.
class VersionRows {
public:
    VersionRows(sqlite::Database& db, std::int64_t finished) : db_(db), finished_(finished) {}

    std::int64_t of(const model::File& file)
    {
        const auto element = element_id(db_, repo(file.repo), file.path);
        const auto content = content_id(db_, file.sha256);
        auto& found = db_.cached("SELECT id, first FROM version WHERE element = ? AND content = ?");
        found.bind(element, content);
        if (found.step()) {
            const auto id = found.integer(0);
            const bool earlier = found.is_null(1) || finished_ < found.integer(1);
            found.reset();
            if (earlier) {
                db_.cached("UPDATE version SET first = ?2 WHERE id = ?1").bind(id, finished_).run();
            }
            return id;
        }
        return insert(file, element, content);
    }

private:
    std::int64_t insert(const model::File& file, std::int64_t element, std::int64_t content)
    {
        constexpr std::int64_t most_rows = std::numeric_limits<std::uint32_t>::max();
        db_.cached("UPDATE content SET size = ?1 WHERE id = ?2 AND size IS NOT ?1")
            .bind(file.size, content)
            .run();
        db_.cached("INSERT INTO version(element, content, blob, index_blob, package, first) VALUES "
                   "(?, ?, ?, ?, ?, ?)")
            .bind(element, content, file.blob, file.index_blob, file.package, finished_)
            .run();
        const auto id = db_.last_insert_id();
        if (id > most_rows) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("the store is full: it knows {} versions of files", id - 1));
        }
        return id;
    }

    std::int64_t repo(const std::string& name)
    {
        const auto [found, fresh] = repos_.try_emplace(name, 0);
        if (fresh) {
            found->second = repo_id(db_, name);
        }
        return found->second;
    }

    sqlite::Database& db_;
    std::int64_t finished_;
    std::map<std::string, std::int64_t> repos_;
};

/// Other programs' manifests may name them in any order, and twice.
std::vector<model::FileIndex> ascending(std::vector<model::FileIndex> files)
{
    if (!std::is_sorted(files.begin(), files.end())) {
        std::sort(files.begin(), files.end());
    }
    files.erase(std::unique(files.begin(), files.end()), files.end());
    return files;
}

BuildGraph graph_of(sqlite::Database& db, const model::Manifest& manifest)
{
    BuildGraph graph;
    graph.files.versions.reserve(manifest.files.size());
    graph.files.roles.reserve(manifest.files.size());
    VersionRows rows(db, to_integer(manifest.run.finished));
    for (const auto& file : manifest.files) {
        graph.files.versions.push_back(static_cast<std::uint32_t>(rows.of(file)));
        graph.files.roles.emplace_back(file.state);
    }
    graph.steps.reserve(manifest.steps.size());
    for (const auto& step : manifest.steps) {
        graph.steps.push_back(
            {step.kind, step.exit, step.tool, ascending(step.inputs), ascending(step.outputs)});
    }
    graph.mark_made();
    return graph;
}

std::int64_t insert_build(Store::Impl& store,
                          const Placed& placed,
                          const model::Manifest& manifest,
                          const LinePlace& where,
                          const StoredSteps& steps)
{
    store.db
        .cached("INSERT INTO build(run, seq, name, repo, revision, branch, dirty, holes, started, "
                "finished, machine, toolchain, line, place, base, graph) VALUES (?, ?, ?, ?, ?, ?, "
                "?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(manifest.run.id,
              placed.seq,
              manifest.build.name,
              repo_id(store.db, manifest.build.repo),
              manifest.build.commit,
              manifest.build.branch,
              manifest.build.dirty.size(),
              manifest.holes.size(),
              to_integer(manifest.run.started),
              to_integer(manifest.run.finished),
              manifest.run.machine,
              manifest.build.toolchain,
              where.line,
              where.place,
              steps.base,
              Blob{steps.blob})
        .run();
    return store.db.last_insert_id();
}

/// returns  the files that are outputs, ascending
std::vector<model::FileIndex>
insert_outputs(sqlite::Database& db, std::int64_t build, const model::Manifest& manifest)
{
    auto& output = db.cached("INSERT OR IGNORE INTO output(content, build, file) VALUES (?, ?, ?)");
    std::set<model::FileIndex> outputs;
    const auto add = [&](model::FileIndex index) {
        const auto content = content_id(db, manifest.files[index].sha256);
        if (outputs.insert(index).second) {
            output.bind(content, build, index).run();
        }
        return content;
    };
    for (const auto& step : manifest.steps) {
        std::for_each(step.outputs.begin(), step.outputs.end(), add);
    }
    auto& artifact = db.cached("INSERT OR IGNORE INTO artifact(build, file, content, name, kind, "
                               "build_id) VALUES (?, ?, ?, ?, ?, ?)");
    for (const auto& entry : manifest.artifacts) {
        const auto content = add(entry.file);
        const auto name = name_id(db, entry.name);
        artifact
            .bind(build, entry.file, content, name, static_cast<int>(entry.kind), entry.build_id)
            .run();
    }
    return {outputs.begin(), outputs.end()};
}

} // namespace

void derive_build(Store::Impl& store, const Placed& placed)
{
    const auto manifest = model::manifest_from_json(member(placed.event.body, "manifest"));
    auto& known = store.db.cached("SELECT 1 FROM build WHERE run = ?");
    known.bind(manifest.run.id);
    const bool again = known.step();
    known.reset();
    if (again) {
        return; // the same run, told by another origin
    }
    const auto graph = graph_of(store.db, manifest);
    const auto where =
        next_in_line(store.db, repo_id(store.db, manifest.build.repo), manifest.build);
    const auto build =
        insert_build(store, placed, manifest, where, pack_steps(store.db, where, graph));
    insert_build_files(store.db, where, graph.files);
    derive_reach(store, build, graph, insert_outputs(store.db, build, manifest));
}

} // namespace stemma::lineage
