#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "../store/ids.hpp"
#include "node_finder.hpp"

namespace stemma::lineage {

using sqlite::Blob;

std::vector<std::int64_t> NodeFinder::elements(const std::string& path)
{
    auto& exact = db_.cached("SELECT id FROM element WHERE path = ?");
    exact.bind(path);
    auto found = integers(exact);
    if (!found.empty() || !is_pattern(path)) {
        return found;
    }
    auto& rows = db_.cached("SELECT id, path FROM element");
    while (rows.step()) {
        if (glob_match(path, rows.view(1), true)) {
            found.push_back(rows.integer(0));
        }
    }
    rows.reset();
    return found;
}

std::vector<std::int64_t> NodeFinder::builds_at(const std::string& revision)
{
    if (revision.size() >= 4 && is_hex(revision)) {
        const auto low = to_lower(revision);
        auto& rows =
            db_.cached("SELECT id FROM build WHERE revision >= ? AND revision < ? AND seq <= ?");
        rows.bind(low, after(low), query_.graph.known_at());
        if (auto found = integers(rows); !found.empty()) {
            return found;
        }
    }
    auto& rows = db_.cached("SELECT id FROM build WHERE branch = ? AND seq <= ?");
    rows.bind(revision, query_.graph.known_at());
    return integers(rows);
}

/// A version of a file is what made it, where a build did, and the source itself elsewhere.
void NodeFinder::add_version(std::int64_t version, Nodes& nodes)
{
    bool made = false;
    for (const auto& output : query_.graph.outputs_of(query_.graph.content_of(version))) {
        const auto files = query_.graph.builds().files(output.build);
        if (files && files->versions[output.file] == version) {
            nodes.insert(output.node());
            made = true;
        }
    }
    const auto uses = query_.graph.uses_of_version(version);
    const bool tracked = std::any_of(uses.begin(), uses.end(), [](const Graph::Use& use) {
        return !use.role.made() && !use.role.loose();
    });
    if (!made || tracked) {
        nodes.insert({Kind::source, version});
    }
}

Nodes NodeFinder::versions_at(const std::vector<std::int64_t>& elements,
                              const std::vector<std::int64_t>& builds)
{
    Nodes nodes;
    auto& rows = db_.cached("SELECT v.id FROM version v JOIN file_use f ON f.version = v.id "
                            "WHERE v.element = ? AND f.build = ?");
    for (const auto element : elements) {
        for (const auto build : builds) {
            rows.bind(element, build);
            for (const auto version : integers(rows)) {
                add_version(version, nodes);
                auto& seen = query_.seen_in[version];
                seen = seen == 0 ? build : query_.newer(seen, build);
            }
        }
    }
    return nodes;
}

std::optional<std::string> NodeFinder::nearest_path(const std::string& path)
{
    const auto name = path.substr(path.rfind('/') + 1);
    std::vector<std::string> candidates;
    auto& rows = db_.cached("SELECT DISTINCT path FROM element JOIN repo ON repo.id = element.repo "
                            "WHERE repo.name <> '' LIMIT 20000");
    while (rows.step()) {
        const auto known = rows.view(0);
        if (known.substr(known.rfind('/') + 1) == name) {
            const auto found = std::string(known);
            rows.reset();
            return found;
        }
        candidates.emplace_back(known);
    }
    rows.reset();
    return nearest(path, candidates);
}

Nodes NodeFinder::file()
{
    auto found = elements(value_);
    const auto at = value_.rfind('@');
    if (found.empty() && at != std::string::npos && at != 0) {
        const auto revision = value_.substr(at + 1);
        found = elements(value_.substr(0, at));
        const auto builds = builds_at(revision);
        if (!found.empty() && builds.empty()) {
            throw nothing(
                fmt::format("no build was made at commit or branch '{}'", printable(revision)),
                fmt::format("`stemma log 'file:{}'` shows the commits that were built",
                            value_.substr(0, at)));
        }
        if (!found.empty()) {
            return versions_at(found, builds);
        }
    }
    if (found.empty() && !is_pattern(value_)) {
        const auto near = nearest_path(at == std::string::npos ? value_ : value_.substr(0, at));
        throw nothing(fmt::format("no build read or made a file '{}'", printable(value_)),
                      near ? fmt::format("did you mean file:{}?", printable(*near))
                           : "paths are relative to their repository; patterns are allowed: "
                             "'file:**/price.cpp'");
    }
    Nodes nodes;
    auto& rows = db_.cached("SELECT id FROM version WHERE element = ?");
    for (const auto element : found) {
        rows.bind(element);
        for (const auto version : integers(rows)) {
            if (query_.is_known(version)) {
                add_version(version, nodes);
            }
        }
    }
    return nodes;
}

Nodes NodeFinder::versions(sqlite::Statement& rows)
{
    Nodes nodes;
    for (const auto version : integers(rows)) {
        if (query_.is_known(version)) {
            add_version(version, nodes);
        }
    }
    return nodes;
}
Nodes NodeFinder::blob()
{
    auto low = to_lower(value_);
    if (low.starts_with("sha256:")) {
        low.erase(0, 7);
    }
    if (!is_hex(low) || low.size() < 4 || low.size() > 64) {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' is neither a git blob id nor a sha256", printable(value_)),
                    "give at least four hexadecimal digits");
    }
    const auto [from, to] = digest_range(low);
    auto& by_digest =
        db_.cached("SELECT v.id FROM version v JOIN content c ON c.id = v.content WHERE "
                   "c.sha256 BETWEEN ? AND ?");
    by_digest.bind(Blob{from}, Blob{to});
    auto nodes = versions(by_digest);
    if (low.size() <= 40) {
        auto& by_blob = db_.cached("SELECT id FROM version WHERE blob >= ?1 AND blob < ?2");
        by_blob.bind(low, after(low));
        nodes.merge(versions(by_blob));
    }
    if (nodes.empty()) {
        throw nothing(fmt::format("no recorded file has the content {}", value_));
    }
    return nodes;
}

Nodes NodeFinder::outputs(const std::vector<std::int64_t>& builds)
{
    Nodes nodes;
    for (const auto id : builds) {
        const auto files = query_.graph.builds().files(id);
        for (model::FileIndex file = 0; files && file < files->size(); ++file) {
            if (files->roles[file].made()) {
                nodes.insert(Output{id, file}.node());
            }
        }
    }
    return nodes;
}

Nodes NodeFinder::sources(const std::vector<std::int64_t>& builds)
{
    Nodes nodes;
    for (const auto id : builds) {
        const auto files = query_.graph.builds().files(id);
        for (model::FileIndex file = 0; files && file < files->size(); ++file) {
            if (!files->roles[file].made()) {
                nodes.insert({Kind::source, files->versions[file]});
                query_.seen_in[files->versions[file]] = id;
            }
        }
    }
    return nodes;
}

Nodes NodeFinder::commit()
{
    const auto dots = value_.find("..");
    const auto known = [&](const std::string& revision) {
        auto builds = builds_at(revision);
        if (builds.empty()) {
            throw nothing(
                fmt::format("no build was made at commit or branch '{}'", printable(revision)));
        }
        return builds;
    };
    if (dots == std::string::npos) {
        return outputs(known(value_));
    }
    // What changed from A to B: files of B's builds that A's did not have with this content.
    const auto before = sources(known(value_.substr(0, dots)));
    auto after_nodes = sources(known(value_.substr(dots + 2)));
    for (const auto node : before) {
        after_nodes.erase(node);
    }
    return after_nodes;
}

Nodes NodeFinder::repo()
{
    std::vector<std::int64_t> repos;
    std::vector<std::string> names;
    auto& rows = db_.cached("SELECT id, name FROM repo WHERE name <> ''");
    while (rows.step()) {
        const auto name = rows.text(1);
        // "shop" is enough for "https://host/group/shop.git".
        auto last = name.substr(name.find_last_of("/:") + 1);
        if (last.ends_with(".git")) {
            last.erase(last.size() - 4);
        }
        if (name == value_ || last == value_ || (is_pattern(value_) && glob_match(value_, name))) {
            repos.push_back(rows.integer(0));
        }
        names.push_back(name);
    }
    rows.reset();
    if (repos.empty() && !is_pattern(value_)) {
        const auto near = nearest(value_, names);
        throw nothing(fmt::format("no build recorded a repository '{}'", printable(value_)),
                      near ? fmt::format("did you mean repo:{}?", *near) : "");
    }
    Nodes nodes;
    auto& found = db_.cached(
        "SELECT v.id FROM element e JOIN version v ON v.element = e.id WHERE e.repo = ?");
    for (const auto repo : repos) {
        found.bind(repo);
        nodes.merge(versions(found));
    }
    return nodes;
}

Nodes NodeFinder::build()
{
    auto& rows = db_.cached("SELECT id FROM build WHERE run >= ? AND run < ? AND seq <= ?");
    rows.bind(value_, after(value_), query_.graph.known_at());
    const auto builds = integers(rows);
    if (builds.empty()) {
        throw nothing(fmt::format("no recorded build's id begins with '{}'", printable(value_)));
    }
    return outputs(builds);
}

Nodes NodeFinder::artifact()
{
    Nodes nodes;
    const auto add = [&](sqlite::Statement& rows) {
        while (rows.step()) {
            nodes.insert(
                Output{rows.integer(0), static_cast<model::FileIndex>(rows.integer(1))}.node());
        }
        rows.reset();
    };
    const auto known_at = query_.graph.known_at();
    const auto low = to_lower(value_);
    if (is_hex(low) && low.size() >= shortest_prefix && low.size() <= 64) {
        const auto [from, to] = digest_range(low);
        auto& by_digest =
            db_.cached("SELECT o.build, o.file FROM content c JOIN output o ON o.content = "
                       "c.id JOIN build b ON b.id = o.build WHERE c.sha256 BETWEEN ? AND ? "
                       "AND b.seq <= ?");
        add(by_digest.bind(Blob{from}, Blob{to}, known_at));
        auto& by_id =
            db_.cached("SELECT a.build, a.file FROM artifact a JOIN build b ON b.id = a.build "
                       "WHERE a.build_id >= ? AND a.build_id < ? AND b.seq <= ?");
        add(by_id.bind(low, after(low), known_at));
    }
    if (nodes.empty()) {
        auto& by_name =
            db_.cached("SELECT a.build, a.file FROM name n JOIN artifact a ON a.name = n.id "
                       "JOIN build b ON b.id = a.build WHERE n.text = ? AND b.seq <= ?");
        add(by_name.bind(value_, known_at));
    }
    if (nodes.empty() && is_pattern(value_)) {
        auto& names = db_.cached("SELECT id, text FROM name");
        std::vector<std::int64_t> matching;
        while (names.step()) {
            if (glob_match(value_, names.view(1))) {
                matching.push_back(names.integer(0));
            }
        }
        names.reset();
        for (const auto name : matching) {
            auto& rows =
                db_.cached("SELECT a.build, a.file FROM artifact a JOIN build b ON b.id = a.build "
                           "WHERE a.name = ? AND b.seq <= ?");
            add(rows.bind(name, known_at));
        }
    } else if (nodes.empty()) {
        throw nothing(fmt::format("no build recorded an artifact '{}'", printable(value_)),
                      "it may be a name, a sha256 or a GNU build-id (eight digits or more)");
    }
    return nodes;
}

} // namespace stemma::lineage
