#include "naive.hpp"

#include "stemma/core/json.hpp"

#include <vector>

namespace stemma::bench {

namespace {

constexpr const char* tables = R"sql(
CREATE TABLE node(id INTEGER PRIMARY KEY, build TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    UNIQUE(path, sha256, build));
CREATE TABLE link(input INTEGER NOT NULL, output INTEGER NOT NULL);
CREATE INDEX link_by_input ON link(input);
CREATE INDEX link_by_output ON link(output);
CREATE TABLE packed(node INTEGER NOT NULL, package TEXT NOT NULL);
CREATE INDEX packed_by_node ON packed(node);
CREATE INDEX packed_by_package ON packed(package);
CREATE TABLE contains(image TEXT NOT NULL, name TEXT NOT NULL, package TEXT NOT NULL, PRIMARY KEY(image, name));
CREATE INDEX contains_by_package ON contains(package);
CREATE TABLE vm(uuid TEXT PRIMARY KEY, image TEXT NOT NULL, host TEXT NOT NULL);
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

std::int64_t
Naive::node(const std::string& build, const std::string& path, const std::string& sha256)
{
    auto& found = db_.cached("SELECT id FROM node WHERE path = ? AND sha256 = ? AND build = ?");
    found.bind(path, sha256, build);
    if (found.step()) {
        const auto id = found.integer(0);
        found.reset();
        return id;
    }
    db_.cached("INSERT INTO node(build, path, sha256) VALUES (?, ?, ?)")
        .bind(build, path, sha256)
        .run();
    return db_.last_insert_id();
}

void Naive::take_build(const Json& manifest)
{
    const auto run = manifest["run"]["id"].get<std::string>();
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
                             files[i]["sha256"].get<std::string>()));
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
    db_.cached("INSERT OR REPLACE INTO vm(uuid, image, host) VALUES (?, ?, ?)")
        .bind(body["uuid"].get<std::string>(),
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
    }
}

std::set<std::string> Naive::hosts_of_file(const std::string& path)
{
    auto& rows = db_.cached(
        "WITH RECURSIVE down(id) AS (SELECT id FROM node WHERE path = ? UNION "
        "SELECT link.output FROM down JOIN link ON link.input = down.id) "
        "SELECT DISTINCT vm.host FROM down JOIN packed ON packed.node = down.id "
        "JOIN contains ON contains.package = packed.package JOIN vm ON vm.image = contains.image");
    rows.bind(path);
    std::set<std::string> hosts;
    while (rows.step()) {
        hosts.insert(rows.text(0));
    }
    rows.reset();
    return hosts;
}

std::size_t Naive::sources_of_host(const std::string& host)
{
    auto& rows = db_.cached(
        "WITH RECURSIVE up(id) AS (SELECT packed.node FROM vm JOIN contains ON contains.image = "
        "vm.image JOIN packed ON packed.package = contains.package WHERE vm.host = ? UNION "
        "SELECT link.input FROM up JOIN link ON link.output = up.id) "
        "SELECT count(*) FROM up JOIN node ON node.id = up.id WHERE node.build = ''");
    rows.bind(host);
    std::size_t count = 0;
    if (rows.step()) {
        count = static_cast<std::size_t>(rows.integer(0));
    }
    rows.reset();
    return count;
}

} // namespace stemma::bench
