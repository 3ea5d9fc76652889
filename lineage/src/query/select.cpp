#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

#include "../store/ids.hpp"
#include "query_impl.hpp"
#include "versions.hpp"

namespace stemma::lineage {

using sqlite::Blob;

namespace {

constexpr std::size_t shortest_prefix = 8;

bool is_pattern(std::string_view text)
{
    return text.find_first_of("*?[") != std::string_view::npos;
}

bool is_hex(std::string_view text)
{
    return std::all_of(text.begin(), text.end(), [](char digit) { return hex_value(digit) >= 0; });
}

/// The smallest text above every text that begins with `prefix`.
std::string after(std::string prefix)
{
    return prefix + "\xff";
}

Error nothing(std::string what, std::string hint = {})
{
    return {ErrorCode::not_found, std::move(what), std::move(hint)};
}

/// Finds what one selector names.
class Finder {
public:
    Finder(Query::Impl& query, const std::string& value)
        : query_(query), db_(query.store.db), value_(value)
    {
    }

    Nodes file();
    Nodes blob();
    Nodes commit();
    Nodes repo();
    Nodes build();
    Nodes artifact();
    Nodes package();
    Nodes image();
    Nodes release();
    Nodes vm();
    Nodes host();
    Nodes snapshot();
    Nodes event();

private:
    std::vector<std::int64_t> elements(const std::string& path);
    /// Builds of a commit (a prefix of its id), or of a branch.
    std::vector<std::int64_t> builds_at(const std::string& revision);
    Nodes versions_at(const std::vector<std::int64_t>& elements,
                      const std::vector<std::int64_t>& builds);
    void add_version(std::int64_t version, Nodes& nodes);
    Nodes outputs(const std::vector<std::int64_t>& builds);
    Nodes versions(sqlite::Statement& rows);
    Nodes rows_of(Kind kind, std::string_view name, std::string_view exact, std::string_view all);
    std::optional<std::string> nearest_path(const std::string& path);

    Query::Impl& query_;
    sqlite::Database& db_;
    const std::string& value_;
};

std::vector<std::int64_t> Finder::elements(const std::string& path)
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

std::vector<std::int64_t> Finder::builds_at(const std::string& revision)
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
void Finder::add_version(std::int64_t version, Nodes& nodes)
{
    const auto content = query_.graph.content_of(version);
    bool made = false;
    for (const auto& output : query_.graph.outputs_of(content)) {
        const auto build = query_.graph.builds().get(output.build);
        if (build && build->graph.files[output.file].version == version) {
            nodes.insert(output.node());
            made = true;
        }
    }
    if (!made) {
        nodes.insert({Kind::source, version});
        return;
    }
    auto& uses = db_.cached("SELECT build, file FROM build_file WHERE version = ?");
    uses.bind(version);
    std::vector<Output> read;
    while (uses.step()) {
        read.push_back({uses.integer(0), static_cast<model::FileIndex>(uses.integer(1))});
    }
    uses.reset();
    for (const auto& use : read) {
        const auto build = query_.graph.builds().get(use.build);
        const bool tracked =
            build && (build->graph.files[use.file].state == model::FileState::clean ||
                      build->graph.files[use.file].state == model::FileState::dirty);
        if (tracked && !build->made_here(use.file)) {
            nodes.insert({Kind::source, version});
        }
    }
}

Nodes Finder::versions_at(const std::vector<std::int64_t>& elements,
                          const std::vector<std::int64_t>& builds)
{
    Nodes nodes;
    auto& rows = db_.cached("SELECT v.id FROM version v JOIN build_file f ON f.version = v.id "
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

std::optional<std::string> Finder::nearest_path(const std::string& path)
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

Nodes Finder::file()
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
            if (query_.build_of_version(version) != 0) {
                add_version(version, nodes);
            }
        }
    }
    return nodes;
}

Nodes Finder::versions(sqlite::Statement& rows)
{
    Nodes nodes;
    for (const auto version : integers(rows)) {
        if (query_.build_of_version(version) != 0) {
            add_version(version, nodes);
        }
    }
    return nodes;
}

/// First and last digest of a hexadecimal prefix, as bytes.
std::pair<std::string, std::string> digest_range(const std::string& low)
{
    return {from_hex(low + std::string(64 - low.size(), '0')).value_or(""),
            from_hex(low + std::string(64 - low.size(), 'f')).value_or("")};
}

Nodes Finder::blob()
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

Nodes Finder::outputs(const std::vector<std::int64_t>& builds)
{
    Nodes nodes;
    for (const auto id : builds) {
        const auto build = query_.graph.builds().get(id);
        for (model::FileIndex file = 0; build && file < build->graph.files.size(); ++file) {
            if (build->made_here(file)) {
                nodes.insert(Output{id, file}.node());
            }
        }
    }
    return nodes;
}

Nodes Finder::commit()
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
    const auto sources_of = [&](const std::string& revision) {
        Nodes nodes;
        for (const auto id : known(revision)) {
            const auto build = query_.graph.builds().get(id);
            for (model::FileIndex file = 0; build && file < build->graph.files.size(); ++file) {
                if (!build->made_here(file)) {
                    nodes.insert({Kind::source, build->graph.files[file].version});
                    query_.seen_in[build->graph.files[file].version] = id;
                }
            }
        }
        return nodes;
    };
    const auto before = sources_of(value_.substr(0, dots));
    auto after_nodes = sources_of(value_.substr(dots + 2));
    for (const auto node : before) {
        after_nodes.erase(node);
    }
    return after_nodes;
}

Nodes Finder::repo()
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

Nodes Finder::build()
{
    auto& rows = db_.cached("SELECT id FROM build WHERE run >= ? AND run < ? AND seq <= ?");
    rows.bind(value_, after(value_), query_.graph.known_at());
    const auto builds = integers(rows);
    if (builds.empty()) {
        throw nothing(fmt::format("no recorded build's id begins with '{}'", printable(value_)));
    }
    return outputs(builds);
}

Nodes Finder::artifact()
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

struct VersionTest {
    std::string name;
    std::string relation; ///< empty, or one of = < > <= >=
    std::string version;

    [[nodiscard]] bool holds(std::string_view found) const
    {
        const int order = compare_versions(found, version);
        return relation.empty() || (relation == "=" && order == 0) ||
               (relation == "<" && order < 0) || (relation == ">" && order > 0) ||
               (relation == "<=" && order <= 0) || (relation == ">=" && order >= 0);
    }
};

VersionTest version_test(const std::string& value)
{
    const auto at = value.find_first_of("<>=");
    if (at == std::string::npos || value.starts_with("pkg:")) {
        return {value, "", ""};
    }
    const auto rest = value.find_first_not_of("<>=", at);
    VersionTest test{value.substr(0, at), value.substr(at, rest - at), ""};
    test.version = rest == std::string::npos ? "" : value.substr(rest);
    constexpr std::array<std::string_view, 5> relations = {"=", "<", ">", "<=", ">="};
    if (test.version.empty() ||
        std::find(relations.begin(), relations.end(), test.relation) == relations.end()) {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' does not compare a version", value),
                    "write package:NAME=1.0, or <, >, <=, >= in place of =");
    }
    return test;
}

Nodes Finder::package()
{
    const auto test = version_test(value_);
    const auto digest = Digest::from_hex(value_);
    Nodes nodes;
    std::set<std::tuple<std::string, std::string, std::string>> files;
    std::vector<std::string> names;
    auto& rows =
        digest ? db_.cached(
                     "SELECT id, sha256, purl, name, version, arch FROM package WHERE sha256 = ?")
               : db_.cached("SELECT id, sha256, purl, name, version, arch FROM package "
                            "ORDER BY sha256 IS NULL");
    if (digest) {
        rows.bind(Blob{bytes_of(*digest)});
    }
    while (rows.step()) {
        const auto name = rows.text(3);
        const bool named = digest || rows.view(2) == test.name || name == test.name ||
                           (is_pattern(test.name) && glob_match(test.name, name));
        if (!named || !test.holds(rows.view(4))) {
            names.push_back(name);
            continue;
        }
        // A line of a package database is the package file where only that can be meant.
        const std::tuple key(name, rows.text(4), rows.text(5));
        if (!rows.is_null(1)) {
            files.insert(key);
        }
        if (!rows.is_null(1) || files.count(key) == 0) {
            nodes.insert({Kind::package, rows.integer(0)});
        }
    }
    rows.reset();
    const bool name_known = std::find(names.begin(), names.end(), test.name) != names.end();
    if (nodes.empty() && !is_pattern(test.name) && !name_known) {
        const auto near = nearest(test.name, names);
        throw nothing(fmt::format("no package '{}' was recorded", printable(test.name)),
                      near ? fmt::format("did you mean package:{}?", *near) : "");
    }
    return nodes;
}

Nodes Finder::image()
{
    Nodes nodes;
    auto low = to_lower(value_);
    if (low.starts_with("sha256:")) {
        low.erase(0, 7);
    }
    const auto until = query_.view.as_of ? to_integer(*query_.view.as_of) : forever;
    auto& named =
        db_.cached("SELECT image FROM image_name WHERE name = ? AND retired = 0 AND seq <= ? AND "
                   "at <= ? ORDER BY at DESC, place DESC LIMIT 1");
    named.bind(value_, query_.graph.known_at(), until);
    if (const auto id = one_integer(named)) {
        return {{Kind::image, *id}};
    }
    if (is_hex(low) && low.size() >= shortest_prefix && low.size() <= 64) {
        const auto [from, to] = digest_range(low);
        auto& rows = db_.cached("SELECT id FROM image WHERE digest BETWEEN ? AND ?");
        rows.bind(Blob{from}, Blob{to});
        for (const auto id : integers(rows)) {
            nodes.insert({Kind::image, id});
        }
    }
    std::vector<std::string> names;
    auto& rows =
        db_.cached("SELECT DISTINCT image, name FROM image_name WHERE retired = 0 AND seq <= ?");
    rows.bind(query_.graph.known_at());
    while (nodes.empty() && rows.step()) {
        names.push_back(rows.text(1));
    }
    rows.bind(query_.graph.known_at());
    while (is_pattern(value_) && rows.step()) {
        if (glob_match(value_, rows.view(1))) {
            nodes.insert({Kind::image, rows.integer(0)});
        }
    }
    rows.reset();
    if (nodes.empty() && !is_pattern(value_)) {
        const auto near = nearest(value_, names);
        throw nothing(fmt::format("there is no image '{}'", printable(value_)),
                      near ? fmt::format("did you mean image:{}?", *near)
                           : "`stemma image list` shows them");
    }
    return nodes;
}

Nodes Finder::release()
{
    Nodes nodes;
    auto& known =
        db_.cached("SELECT 1 FROM release_event WHERE name = ?1 UNION SELECT 1 FROM vm_span "
                   "WHERE release = ?1 AND ?1 <> ''");
    known.bind(value_);
    if (!one_integer(known)) {
        throw nothing(fmt::format("there is no release '{}'", printable(value_)));
    }
    query_.releases.insert(value_);
    for (const auto& placement : query_.graph.placements().of_release(value_)) {
        nodes.insert({Kind::vm, placement.vm});
    }
    return nodes;
}

/// Rows by name, or by pattern.
Nodes Finder::rows_of(Kind kind,
                      std::string_view name,
                      std::string_view exact,
                      std::string_view all)
{
    Nodes nodes;
    auto& found = db_.cached(exact);
    found.bind(value_, query_.graph.known_at());
    for (const auto id : integers(found)) {
        nodes.insert({kind, id});
    }
    if (!nodes.empty()) {
        return nodes;
    }
    std::vector<std::string> names;
    auto& rows = db_.cached(all);
    rows.bind(nullptr, query_.graph.known_at());
    while (rows.step()) {
        if (is_pattern(value_) && glob_match(value_, rows.view(1))) {
            nodes.insert({kind, rows.integer(0)});
        }
        names.push_back(rows.text(1));
    }
    rows.reset();
    if (nodes.empty() && !is_pattern(value_)) {
        const auto near = nearest(value_, names);
        throw nothing(fmt::format("there is no {} '{}'", name, printable(value_)),
                      near ? fmt::format("did you mean {}:{}?", to_string(kind), *near)
                           : fmt::format("`stemma {} list` shows them", to_string(kind)));
    }
    return nodes;
}

Nodes Finder::vm()
{
    // ?1 the name, ?2 the ledger's position: what came later is not known yet.
    return rows_of(Kind::vm,
                   "VM",
                   "SELECT id FROM vm WHERE (uuid = ?1 OR name = ?1) AND EXISTS "
                   "(SELECT 1 FROM vm_event e WHERE e.vm = vm.id AND e.seq <= ?2)",
                   "SELECT id, name FROM vm WHERE EXISTS "
                   "(SELECT 1 FROM vm_event e WHERE e.vm = vm.id AND e.seq <= ?2)");
}

Nodes Finder::host()
{
    return rows_of(Kind::host,
                   "host",
                   "SELECT id FROM host WHERE name = ?1 AND ?2 >= 0",
                   "SELECT id, name FROM host WHERE ?2 >= 0");
}

Nodes Finder::snapshot()
{
    auto& row = db_.cached("SELECT seq FROM snapshot WHERE id = ?1 OR (length(?1) >= 8 AND "
                           "substr(id, 1, length(?1)) = ?1)");
    row.bind(value_);
    const auto seqs = integers(row);
    if (seqs.empty()) {
        throw nothing(fmt::format("there is no snapshot '{}'", printable(value_)),
                      "`stemma snapshot list` shows them");
    }
    Nodes nodes;
    for (const auto seq : seqs) {
        const auto event = query_.store.event_at(static_cast<std::uint64_t>(seq));
        const auto digest =
            Digest::from_hex(optional_string_member(event.body, "image").value_or(""));
        auto& image = db_.cached("SELECT id FROM image WHERE digest = ?");
        image.bind(Blob{digest ? bytes_of(*digest) : std::string_view()});
        if (const auto id = one_integer(image)) {
            nodes.insert({Kind::image, *id});
        } else {
            query_.graph.note("snapshot " + value_, "the image of its VM is not known");
        }
    }
    return nodes;
}

Nodes query_event(Query::Impl& query, const std::string& value);

Nodes Finder::event()
{
    return query_event(query_, value_);
}

/// "KIND[=WORD][@TIME]": the VMs, hosts and images that such events are about.
Nodes query_event(Query::Impl& query, const std::string& value)
{
    const auto at = value.rfind('@');
    const auto test = value.substr(0, at);
    const auto equals = test.find('=');
    const auto kind = test.substr(0, equals);
    const auto word = equals == std::string::npos ? std::string("*") : test.substr(equals + 1);
    const auto now = query.view.as_of.value_or(query.store.clock.now());
    const auto since =
        at == std::string::npos ? 0 : to_integer(parse_time_or_age(value.substr(at + 1), now));
    auto& rows =
        query.store.db.cached("SELECT seq, kind FROM event WHERE at >= ? AND at <= ? AND seq <= ? "
                              "AND kind GLOB '[vh]*.*'");
    rows.bind(since, to_integer(now), query.graph.known_at());
    std::vector<std::uint64_t> seqs;
    while (rows.step()) {
        if (glob_match(kind, rows.view(1))) {
            seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
        }
    }
    rows.reset();
    Nodes nodes;
    for (const auto seq : seqs) {
        const auto found = query.store.event_at(seq);
        const auto says = [&](std::string_view key) {
            return glob_match(word, optional_string_member(found.body, key).value_or(""));
        };
        if (!says("state") && !says("reason") && !says("what")) {
            continue;
        }
        const bool of_host = found.kind.starts_with("host.");
        auto& row = of_host ? query.store.db.cached("SELECT id FROM host WHERE name = ?")
                            : query.store.db.cached("SELECT id FROM vm WHERE uuid = ?");
        row.bind(optional_string_member(found.body, of_host ? "name" : "uuid").value_or(""));
        if (const auto id = one_integer(row)) {
            nodes.insert({of_host ? Kind::host : Kind::vm, *id});
        }
    }
    return nodes;
}

using Rule = Nodes (Finder::*)();

constexpr std::array<std::pair<std::string_view, Rule>, 13> rules = {{
    {"file", &Finder::file},
    {"blob", &Finder::blob},
    {"commit", &Finder::commit},
    {"repo", &Finder::repo},
    {"build", &Finder::build},
    {"artifact", &Finder::artifact},
    {"package", &Finder::package},
    {"image", &Finder::image},
    {"release", &Finder::release},
    {"vm", &Finder::vm},
    {"host", &Finder::host},
    {"snapshot", &Finder::snapshot},
    {"event", &Finder::event},
}};

std::set<Kind> kinds_of(const Nodes& nodes)
{
    std::set<Kind> kinds;
    for (const auto node : nodes) {
        kinds.insert(node.kind);
    }
    return kinds;
}

/// "host:a & package:b" has no member by nature, which is hardly what was meant.
void check_comparable(const Nodes& a, const Nodes& b, char sign)
{
    const auto left = kinds_of(a);
    const auto right = kinds_of(b);
    if (left.empty() || right.empty() ||
        std::find_first_of(left.begin(), left.end(), right.begin(), right.end()) != left.end()) {
        return;
    }
    throw Error(ErrorCode::usage,
                fmt::format("'{}' between {}s and {}s: they have nothing in common by nature",
                            sign,
                            to_string(*left.begin()),
                            to_string(*right.begin())),
                "select the same kind on both sides, for instance two sets of VMs");
}

} // namespace

Nodes Query::Impl::leaf(const Selector& selector)
{
    for (const auto& [kind, rule] : rules) {
        if (kind == selector.kind) {
            return (Finder(*this, selector.value).*rule)();
        }
    }
    throw Error(ErrorCode::usage, fmt::format("there is no selector '{}:'", selector.kind));
}

Nodes Query::Impl::evaluate(const Selection& selection)
{
    if (selection.operation == Selection::Operation::leaf) {
        return leaf(selection.leaf);
    }
    Nodes result;
    bool first = true;
    for (const auto& side : selection.sides) {
        auto nodes = evaluate(side);
        if (first || selection.operation == Selection::Operation::unite) {
            result.merge(nodes);
            first = false;
            continue;
        }
        const bool intersect = selection.operation == Selection::Operation::intersect;
        check_comparable(result, nodes, intersect ? '&' : '-');
        std::erase_if(result, [&](Node node) { return (nodes.count(node) != 0) != intersect; });
    }
    return result;
}

} // namespace stemma::lineage
