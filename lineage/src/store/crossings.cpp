#include "crossings.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "lines.hpp"
#include "reach.hpp"

namespace stemma::lineage {

using sqlite::Blob;

namespace {

/// What is new about one build's reach.
struct News {
    std::set<Reach::Crossing> outlets;
    std::set<Reach::Crossing> inlets;
};
using NewsByBuild = std::map<std::int64_t, News>;

/// Sets a bit of content.uses.
/// returns  the bits before
std::int64_t mark(sqlite::Database& db, std::int64_t content, ContentUse use)
{
    auto& row = db.cached("SELECT uses FROM content WHERE id = ?");
    row.bind(content);
    const auto before = row.step() ? row.integer(0) : 0;
    row.reset();
    if ((before & use) == 0) {
        db.cached("UPDATE content SET uses = uses | ?2 WHERE id = ?1").bind(content, use).run();
    }
    return before;
}

struct ContentRow {
    std::int64_t id = 0;
    bool empty = false;
};

ContentRow content_of_version(sqlite::Database& db, std::int64_t version)
{
    auto& row = db.cached(
        "SELECT c.id, c.size FROM version v JOIN content c ON c.id = v.content WHERE v.id = ?");
    row.bind(version);
    ContentRow content;
    if (row.step()) {
        content = {row.integer(0), !row.is_null(1) && row.integer(1) == 0};
    }
    row.reset();
    return content;
}

using Places = std::vector<std::pair<std::int64_t, model::FileIndex>>; // build, file

Places places(sqlite::Statement& rows)
{
    Places found;
    while (rows.step()) {
        found.emplace_back(rows.integer(0), static_cast<model::FileIndex>(rows.integer(1)));
    }
    rows.reset();
    return found;
}

Places makers_of(sqlite::Database& db, std::int64_t content)
{
    return places(db.cached("SELECT build, file FROM output WHERE content = ?").bind(content));
}

/// Builds that read the content loosely, with the file that it is there.
Places loose_readers_of(sqlite::Database& db, std::int64_t content)
{
    auto& rows = db.cached("SELECT f.build, f.file, f.role FROM version v JOIN file_use f ON "
                           "f.version = v.id WHERE v.content = ?");
    rows.bind(content);
    Places found;
    while (rows.step()) {
        if (FileRole(static_cast<std::uint8_t>(rows.integer(2))).loose()) {
            found.emplace_back(rows.integer(0), static_cast<model::FileIndex>(rows.integer(1)));
        }
    }
    rows.reset();
    return found;
}

/// An output that others read or that was put elsewhere leaves its build.
void note_output(sqlite::Database& db,
                 std::pair<std::int64_t, model::FileIndex> output,
                 std::int64_t content,
                 NewsByBuild& news)
{
    const auto [build, file] = output;
    const auto before = mark(db, content, made_by_build);
    if ((before & put_elsewhere) != 0) {
        news[build].outlets.insert({file, content});
    }
    if ((before & read_loosely) == 0) {
        return;
    }
    for (const auto& [reader, read] : loose_readers_of(db, content)) {
        if (reader != build) {
            news[reader].inlets.insert({read, content});
            news[build].outlets.insert({file, content});
        }
    }
}

/// A file that another build made comes in from there.
void note_loose_file(sqlite::Database& db,
                     std::pair<std::int64_t, model::FileIndex> input,
                     std::int64_t content,
                     NewsByBuild& news)
{
    const auto [build, file] = input;
    if ((mark(db, content, read_loosely) & made_by_build) == 0) {
        return;
    }
    for (const auto& [maker, made] : makers_of(db, content)) {
        if (maker != build) {
            news[maker].outlets.insert({made, content});
            news[build].inlets.insert({file, content});
        }
    }
}

BuildGraph graph_of(sqlite::Database& db, std::int64_t build, std::string_view files)
{
    BuildGraph graph;
    graph.files = decode_files(files);
    read_steps(db, build, graph);
    return graph;
}

std::vector<Reach::Crossing> with(const std::vector<Reach::Crossing>& known,
                                  const std::set<Reach::Crossing>& more)
{
    std::set<Reach::Crossing> all(known.begin(), known.end());
    all.insert(more.begin(), more.end());
    return {all.begin(), all.end()};
}

void insert_inlets(sqlite::Database& db, std::int64_t build, const News& news)
{
    auto& row = db.cached("INSERT OR IGNORE INTO inlet(content, build, file) VALUES (?, ?, ?)");
    for (const auto& inlet : news.inlets) {
        row.bind(inlet.content, build, inlet.file).run();
    }
}

/// Adds to the reach of a build that is there already.
void extend(sqlite::Database& db, std::int64_t build, const News& news)
{
    auto& row = db.cached("SELECT files, reach FROM build_reach WHERE build = ?");
    row.bind(build);
    if (!row.step()) {
        return;
    }
    const auto files = row.text(0);
    auto reach = decode_reach(row.view(1));
    row.reset();
    insert_inlets(db, build, news);
    auto outlets = with(reach.outlets, news.outlets);
    auto inlets = with(reach.inlets, news.inlets);
    if (outlets == reach.outlets) {
        if (inlets == reach.inlets) {
            return;
        }
        reach.inlets = std::move(inlets);
    } else {
        reach = make_reach(graph_of(db, build, files), std::move(outlets), std::move(inlets));
    }
    db.cached("UPDATE build_reach SET reach = ?2 WHERE build = ?1")
        .bind(build, Blob{encode(reach)})
        .run();
}

} // namespace

void derive_reach(Store::Impl& store,
                  std::int64_t build,
                  const BuildGraph& graph,
                  std::span<const model::FileIndex> outputs)
{
    auto& db = store.db;
    NewsByBuild news;
    for (const auto file : outputs) {
        note_output(db, {build, file}, content_of_version(db, graph.files.versions[file]).id, news);
    }
    for (model::FileIndex file = 0; file < graph.files.size(); ++file) {
        if (!graph.files.roles[file].loose()) {
            continue;
        }
        const auto content = content_of_version(db, graph.files.versions[file]);
        if (!content.empty) {
            note_loose_file(db, {build, file}, content.id, news);
        }
    }
    const auto own = std::move(news[build]);
    news.erase(build);
    insert_inlets(db, build, own);
    const auto reach = make_reach(graph, with({}, own.outlets), with({}, own.inlets));
    db.cached("INSERT INTO build_reach(build, files, reach) VALUES (?, ?, ?)")
        .bind(build, Blob{encode_files(graph.files)}, Blob{encode(reach)})
        .run();
    for (const auto& [other, its_news] : news) {
        extend(db, other, its_news);
    }
}

void put_contents_elsewhere(Store::Impl& store, std::span<const std::int64_t> contents)
{
    NewsByBuild news;
    for (const auto content : contents) {
        const auto before = mark(store.db, content, put_elsewhere);
        if ((before & put_elsewhere) != 0 || (before & made_by_build) == 0) {
            continue;
        }
        for (const auto& [build, file] : makers_of(store.db, content)) {
            news[build].outlets.insert({file, content});
        }
    }
    for (const auto& [build, its_news] : news) {
        extend(store.db, build, its_news);
    }
}

} // namespace stemma::lineage
