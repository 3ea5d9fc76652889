#include "stemma/core/error.hpp"

#include <algorithm>

#include "build_graph.hpp"
#include "ids.hpp"

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

std::int64_t version_id(sqlite::Database& db, std::int64_t repo, const model::File& file)
{
    const auto element = element_id(db, repo, file.path);
    const auto content = content_id(db, file.sha256);
    auto& found = db.cached("SELECT id FROM version WHERE element = ? AND content = ?");
    found.bind(element, content);
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    db.cached("UPDATE content SET size = ? WHERE id = ?").bind(file.size, content).run();
    db.cached("INSERT INTO version(element, content, blob, index_blob, package) "
              "VALUES (?, ?, ?, ?, ?)")
        .bind(element, content, file.blob, file.index_blob, file.package)
        .run();
    return db.last_insert_id();
}

BuildGraph graph_of(sqlite::Database& db, const model::Manifest& manifest)
{
    BuildGraph graph;
    graph.files.reserve(manifest.files.size());
    for (const auto& file : manifest.files) {
        graph.files.push_back({version_id(db, repo_id(db, file.repo), file), file.state});
    }
    graph.steps.reserve(manifest.steps.size());
    for (const auto& step : manifest.steps) {
        graph.steps.push_back({step.kind, step.exit, step.tool, step.inputs, step.outputs});
    }
    return graph;
}

std::int64_t insert_build(Store::Impl& store, const Placed& placed, const model::Manifest& manifest)
{
    const auto graph = encode(graph_of(store.db, manifest));
    store.db
        .cached(
            "INSERT INTO build(run, seq, name, repo, revision, branch, dirty, holes, started, "
            "finished, machine, toolchain, graph) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
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
              Blob{graph})
        .run();
    return store.db.last_insert_id();
}

void insert_inverse(sqlite::Database& db, std::int64_t build, const model::Manifest& manifest)
{
    auto& file = db.cached(
        "INSERT OR IGNORE INTO build_file(version, build, file) SELECT version.id, ?1, ?2 FROM "
        "version "
        "JOIN element ON element.id = version.element JOIN content ON content.id = version.content "
        "JOIN repo ON repo.id = element.repo WHERE repo.name = ?3 AND element.path = ?4 AND "
        "content.sha256 = ?5");
    for (std::size_t i = 0; i < manifest.files.size(); ++i) {
        const auto& entry = manifest.files[i];
        file.bind(build, i, entry.repo, entry.path, Blob{bytes_of(entry.sha256)}).run();
    }
}

void insert_outputs(sqlite::Database& db, std::int64_t build, const model::Manifest& manifest)
{
    auto& output = db.cached("INSERT OR IGNORE INTO output(content, build, file) VALUES (?, ?, ?)");
    const auto add = [&](model::FileIndex index) {
        const auto content = content_id(db, manifest.files[index].sha256);
        output.bind(content, build, index).run();
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
    const auto build = insert_build(store, placed, manifest);
    insert_inverse(store.db, build, manifest);
    insert_outputs(store.db, build, manifest);
}

} // namespace stemma::lineage
