#include "naive.hpp"

#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <optional>
#include <vector>

namespace stemma::bench {

namespace {

constexpr const char* tables = R"sql(
CREATE TABLE node(id INTEGER PRIMARY KEY, build TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, at INTEGER NOT NULL,
    UNIQUE(path, sha256, build));
CREATE TABLE link(input INTEGER NOT NULL, output INTEGER NOT NULL);
CREATE INDEX link_by_input ON link(input);
CREATE INDEX link_by_output ON link(output);
CREATE TABLE packed(node INTEGER NOT NULL, package TEXT NOT NULL);
CREATE INDEX packed_by_node ON packed(node);
CREATE INDEX packed_by_package ON packed(package);
CREATE TABLE contains(image TEXT NOT NULL, name TEXT NOT NULL, package TEXT NOT NULL, PRIMARY KEY(image, name));
CREATE INDEX contains_by_package ON contains(package);
CREATE TABLE vm(uuid TEXT PRIMARY KEY, name TEXT NOT NULL, image TEXT NOT NULL, host TEXT NOT NULL);
CREATE INDEX vm_by_image ON vm(image);
CREATE INDEX vm_by_host ON vm(host);
)sql";

sqlite::Options making()
{
    sqlite::Options options;
    options.create = true;
    return options;
}

} // namespace

Naive::Naive(const std::string& path) : db_(path, making())
{
    db_.use_wal();
    db_.execute(tables);
}

std::int64_t Naive::node(const std::string& build,
                         const std::string& path,
                         const std::string& sha256,
                         std::int64_t when)
{
    auto& found = db_.cached("SELECT id FROM node WHERE path = ? AND sha256 = ? AND build = ?");
    found.bind(path, sha256, build);
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    db_.cached("INSERT INTO node(build, path, sha256, at) VALUES (?, ?, ?, ?)")
        .bind(build, path, sha256, when)
        .run();
    return db_.last_insert_id();
}

void Naive::take_build(const Json& manifest)
{
    const auto run = manifest["run"]["id"].get<std::string>();
    const auto finished =
        parse_time(manifest["run"]["finished"].get<std::string>()).time_since_epoch().count();
    std::set<std::size_t> made;
    for (const auto& step : manifest["steps"]) {
        for (const auto& output : step["outputs"]) {
            made.insert(output.get<std::size_t>());
        }
    }
    std::vector<std::int64_t> nodes;
    const auto& files = manifest["files"];
    for (std::size_t i = 0; i < files.size(); ++i) {
        nodes.push_back(node(made.count(i) != 0 ? run : std::string(),
                             files[i]["path"].get<std::string>(),
                             files[i]["sha256"].get<std::string>(),
                             finished));
    }
    auto& link = db_.cached("INSERT INTO link(input, output) VALUES (?, ?)");
    for (const auto& step : manifest["steps"]) {
        for (const auto& output : step["outputs"]) {
            for (const auto& input : step["inputs"]) {
                link.bind(nodes[input.get<std::size_t>()], nodes[output.get<std::size_t>()]).run();
            }
        }
    }
}

void Naive::take_package(const Json& body)
{
    for (const auto& file : body["payload"]) {
        db_.cached("INSERT INTO packed(node, package) SELECT id, ?3 FROM node WHERE sha256 = ?1 "
                   "AND path = 'build/bench' AND build = ?2")
            .bind(file["artifact"].get<std::string>(),
                  body["build"].get<std::string>(),
                  body["sha256"].get<std::string>())
            .run();
    }
}

void Naive::take_image(const Json& body)
{
    const auto digest = body["digest"].get<std::string>();
    if (!body["parent"].is_null()) {
        db_.cached("INSERT INTO contains SELECT ?2, name, package FROM contains WHERE image = ?1")
            .bind(body["parent"].get<std::string>(), digest)
            .run();
    }
    for (const auto& entry : body["installed"]) {
        db_.cached("INSERT OR REPLACE INTO contains(image, name, package) VALUES (?, ?, ?)")
            .bind(digest, entry["name"].get<std::string>(), entry["sha256"].get<std::string>())
            .run();
    }
}

void Naive::take_vm(const Json& body)
{
    db_.cached("INSERT OR REPLACE INTO vm(uuid, name, image, host) VALUES (?, ?, ?, ?)")
        .bind(body["uuid"].get<std::string>(),
              body["name"].get<std::string>(),
              body["image"].get<std::string>(),
              body["host"].get<std::string>())
        .run();
}

void Naive::take(const model::Event& event)
{
    if (event.kind == "build.recorded") {
        take_build(event.body["manifest"]);
    } else if (event.kind == "package.packed") {
        take_package(event.body);
    } else if (event.kind == "image.created") {
        take_image(event.body);
    } else if (event.kind == "vm.deployed") {
        take_vm(event.body);
    } else if (event.kind == "vm.migrated") {
        db_.cached("UPDATE vm SET host = ?2 WHERE uuid = ?1")
            .bind(event.body["uuid"].get<std::string>(), event.body["to"].get<std::string>())
            .run();
    } else if (event.kind == "vm.retired") {
        db_.cached("DELETE FROM vm WHERE uuid = ?")
            .bind(event.body["uuid"].get<std::string>())
            .run();
    }
}

std::size_t Naive::hosts_of_file(const std::string& path)
{
    auto& rows = db_.cached(
        "WITH RECURSIVE down(id) AS (SELECT id FROM node WHERE path = ? UNION "
        "SELECT link.output FROM down JOIN link ON link.input = down.id) "
        "SELECT DISTINCT vm.host FROM down JOIN packed ON packed.node = down.id "
        "JOIN contains ON contains.package = packed.package JOIN vm ON vm.image = contains.image");
    rows.bind(path);
    std::size_t hosts = 0;
    while (rows.step()) {
        ++hosts;
    }
    rows.reset();
    return hosts;
}

/// vms  a condition on one parameter
std::set<std::int64_t> Naive::sources_of(std::string_view vms, const std::string& key, Time since)
{
    auto& rows = db_.cached(fmt::format(
        "WITH RECURSIVE up(id) AS (SELECT packed.node FROM vm JOIN contains ON contains.image = "
        "vm.image JOIN packed ON packed.package = contains.package WHERE {} UNION "
        "SELECT link.input FROM up JOIN link ON link.output = up.id) "
        "SELECT node.id FROM up JOIN node ON node.id = up.id WHERE node.build = '' AND at >= ?",
        vms));
    rows.bind(key, since.time_since_epoch().count());
    std::set<std::int64_t> found;
    while (rows.step()) {
        found.insert(rows.integer(0));
    }
    rows.reset();
    return found;
}

std::set<std::int64_t> Naive::sources_of_host(const std::string& host, Time since)
{
    return sources_of("vm.host = ?", host, since);
}

std::size_t Naive::outdated_vms()
{
    return static_cast<std::size_t>(db_.integer(
        "SELECT count(*) FROM vm JOIN contains ON contains.image = vm.image WHERE "
        "contains.package <> (SELECT package FROM packed ORDER BY rowid DESC LIMIT 1)"));
}

std::size_t Naive::shared_sources(const std::string& names)
{
    std::vector<std::string> uuids;
    auto& rows = db_.cached("SELECT uuid FROM vm WHERE name LIKE ?");
    rows.bind(names);
    while (rows.step()) {
        uuids.push_back(rows.text(0));
    }
    rows.reset();
    std::optional<std::set<std::int64_t>> shared;
    for (const auto& uuid : uuids) {
        const auto sources = sources_of("vm.uuid = ?", uuid, Time());
        if (shared) {
            std::erase_if(*shared, [&](std::int64_t id) { return sources.count(id) == 0; });
        } else {
            shared = sources;
        }
    }
    return shared ? shared->size() : 0;
}

} // namespace stemma::bench
