#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

#include "../store/ids.hpp"
#include "node_finder.hpp"
#include "versions.hpp"

namespace stemma::lineage {

using sqlite::Blob;

namespace {

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
    // NAME@VERSION, as a purl has it; "@scope/name" is a name.
    const auto at = value.find_first_of("<>=@", value.starts_with("@") ? 1 : 0);
    if (at == std::string::npos || value.starts_with("pkg:")) {
        return {value, "", ""};
    }
    if (value[at] == '@' && at + 1 < value.size()) {
        return {value.substr(0, at), "=", value.substr(at + 1)};
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

} // namespace

Nodes NodeFinder::package()
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

Nodes NodeFinder::image()
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

Nodes NodeFinder::release()
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
/// all  every row from the name ?1 on, in the order of names
Nodes NodeFinder::rows_of(Kind kind,
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
    // What the pattern begins with bounds the names to look at.
    const auto start =
        is_pattern(value_) ? value_.substr(0, value_.find_first_of("*?[\\")) : std::string();
    std::vector<std::string> names;
    auto& rows = db_.cached(all);
    rows.bind(start, query_.graph.known_at());
    while (rows.step() && rows.view(1).starts_with(start)) {
        if (!is_pattern(value_)) {
            names.push_back(rows.text(1));
        } else if (glob_match(value_, rows.view(1))) {
            nodes.insert({kind, rows.integer(0)});
        }
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

Nodes NodeFinder::vm()
{
    // ?1 the name, ?2 the ledger's position: what came later is not known yet.
    return rows_of(Kind::vm,
                   "VM",
                   "SELECT id FROM vm WHERE (uuid = ?1 OR name = ?1) AND EXISTS "
                   "(SELECT 1 FROM vm_event e WHERE e.vm = vm.id AND e.seq <= ?2)",
                   "SELECT id, name FROM vm WHERE name >= ?1 AND EXISTS (SELECT 1 FROM vm_event e "
                   "WHERE e.vm = vm.id AND e.seq <= ?2) ORDER BY name");
}

Nodes NodeFinder::host()
{
    return rows_of(Kind::host,
                   "host",
                   "SELECT id FROM host WHERE name = ?1 AND ?2 >= 0",
                   "SELECT id, name FROM host WHERE name >= ?1 AND ?2 >= 0 ORDER BY name");
}

Nodes NodeFinder::snapshot()
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

/// "KIND[=WORD][@TIME]": the VMs, hosts and images that such events are about.
Nodes NodeFinder::event()
{
    const auto at = value_.rfind('@');
    const auto test = value_.substr(0, at);
    const auto equals = test.find('=');
    const auto kind = test.substr(0, equals);
    const auto word = equals == std::string::npos ? std::string("*") : test.substr(equals + 1);
    const auto now = query_.view.as_of.value_or(query_.store.clock.now());
    const auto since =
        at == std::string::npos ? 0 : to_integer(parse_time_or_age(value_.substr(at + 1), now));
    auto& rows =
        query_.store.db.cached("SELECT seq, kind FROM event WHERE at >= ? AND at <= ? AND seq <= ? "
                               "AND kind GLOB '[vh]*.*'");
    rows.bind(since, to_integer(now), query_.graph.known_at());
    std::vector<std::uint64_t> seqs;
    while (rows.step()) {
        if (glob_match(kind, rows.view(1))) {
            seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
        }
    }
    rows.reset();
    Nodes nodes;
    for (const auto seq : seqs) {
        const auto found = query_.store.event_at(seq);
        const auto says = [&](std::string_view key) {
            return glob_match(word, optional_string_member(found.body, key).value_or(""));
        };
        if (!says("state") && !says("reason") && !says("what")) {
            continue;
        }
        const bool of_host = found.kind.starts_with("host.");
        auto& row = of_host ? query_.store.db.cached("SELECT id FROM host WHERE name = ?")
                            : query_.store.db.cached("SELECT id FROM vm WHERE uuid = ?");
        row.bind(optional_string_member(found.body, of_host ? "name" : "uuid").value_or(""));
        if (const auto id = one_integer(row)) {
            nodes.insert({of_host ? Kind::host : Kind::vm, *id});
        }
    }
    return nodes;
}

} // namespace stemma::lineage
