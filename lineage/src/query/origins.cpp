#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <tuple>

#include "../store/ids.hpp"
#include "graph.hpp"

/// Who made a content, and where it was met.
namespace stemma::lineage {

namespace {

std::int64_t one_id(sqlite::Statement& row)
{
    const auto id = row.step() ? row.integer(0) : 0;
    row.reset();
    return id;
}

} // namespace

std::int64_t Graph::content_of(std::int64_t version)
{
    return one_id(store_.db.cached("SELECT content FROM version WHERE id = ?").bind(version));
}

bool Graph::has_size(std::int64_t content)
{
    auto& row = store_.db.cached("SELECT ifnull(size, 1) FROM content WHERE id = ?");
    return one_id(row.bind(content)) != 0;
}

std::int64_t Graph::package_with(std::int64_t content)
{
    return one_id(store_.db
                      .cached("SELECT package.id FROM package JOIN content ON content.sha256 = "
                              "package.sha256 WHERE content.id = ?")
                      .bind(content));
}

std::int64_t Graph::content_of_package(std::int64_t package)
{
    return one_id(store_.db
                      .cached("SELECT content.id FROM package JOIN content ON content.sha256 = "
                              "package.sha256 WHERE package.id = ?")
                      .bind(package));
}

bool Graph::in_view(std::int64_t build)
{
    return !view_.known_at || builds_.row(build) != nullptr;
}

std::vector<Output> Graph::outputs_of(std::int64_t content)
{
    std::vector<Output> outputs;
    auto& rows = store_.db.cached("SELECT build, file FROM output WHERE content = ?");
    rows.bind(content);
    while (rows.step()) {
        outputs.push_back({rows.integer(0), static_cast<model::FileIndex>(rows.integer(1))});
    }
    rows.reset();
    std::erase_if(outputs, [&](const Output& output) { return !in_view(output.build); });
    return outputs;
}

std::vector<Output> Graph::outputs_in(std::int64_t build, std::int64_t content)
{
    std::vector<Output> outputs;
    auto& rows = store_.db.cached("SELECT file FROM output WHERE content = ? AND build = ?");
    rows.bind(content, build);
    while (rows.step()) {
        outputs.push_back({build, static_cast<model::FileIndex>(rows.integer(0))});
    }
    rows.reset();
    return outputs;
}

std::vector<Output> Graph::inlets_of(std::int64_t content)
{
    std::vector<Output> inlets;
    auto& rows = store_.db.cached("SELECT build, file FROM inlet WHERE content = ?");
    rows.bind(content);
    while (rows.step()) {
        inlets.push_back({rows.integer(0), static_cast<model::FileIndex>(rows.integer(1))});
    }
    rows.reset();
    std::erase_if(inlets, [&](const Output& inlet) { return !in_view(inlet.build); });
    return inlets;
}

namespace {

/// Rows of build, file, version, role.
std::vector<Graph::Use> uses(sqlite::Statement& rows)
{
    std::vector<Graph::Use> found;
    while (rows.step()) {
        found.push_back({rows.integer(0),
                         static_cast<model::FileIndex>(rows.integer(1)),
                         rows.integer(2),
                         FileRole(static_cast<std::uint8_t>(rows.integer(3)))});
    }
    rows.reset();
    return found;
}

} // namespace

std::vector<Graph::Use> Graph::uses_of_version(std::int64_t version)
{
    auto found =
        uses(store_.db.cached("SELECT build, file, version, role FROM file_use WHERE version = ?")
                 .bind(version));
    std::erase_if(found, [&](const Use& use) { return !in_view(use.build); });
    return found;
}

std::vector<Graph::Use> Graph::uses_of_content(std::int64_t content)
{
    auto found = uses(store_.db
                          .cached("SELECT f.build, f.file, f.version, f.role FROM version v JOIN "
                                  "file_use f ON f.version = v.id WHERE v.content = ?")
                          .bind(content));
    std::erase_if(found, [&](const Use& use) { return !in_view(use.build); });
    return found;
}

std::vector<Graph::Use> Graph::uses_in(std::int64_t build, std::int64_t content)
{
    return uses(store_.db
                    .cached("SELECT f.build, f.file, f.version, f.role FROM version v JOIN "
                            "file_use f ON f.version = v.id WHERE v.content = ? AND f.build = ?")
                    .bind(content, build));
}

std::vector<Output> Graph::candidates(FileRole role, std::int64_t content)
{
    return role.loose() && has_size(content) ? outputs_of(content) : std::vector<Output>();
}

std::vector<Graph::Producer> Graph::producers(const BuildRow& reader, std::vector<Output> outputs)
{
    std::erase_if(outputs, [&](const Output& output) { return output.build == reader.id; });
    // An object that an earlier build of the same checkout left behind is that one's, and nobody
    // else's.
    std::optional<std::tuple<std::int64_t, std::string, std::int64_t>> latest;
    std::set<std::int64_t> makers;
    for (const auto& output : outputs) {
        const auto* made = builds_.row(output.build);
        makers.insert(output.build);
        if (made != nullptr && made->repo == reader.repo && made->finished <= reader.started) {
            latest =
                std::max(latest, std::optional(std::tuple(made->finished, made->run, made->id)));
        }
    }
    std::vector<Producer> found;
    for (const auto& output : outputs) {
        if (latest ? output.build == std::get<2>(*latest) : true) {
            const bool inferred = !latest && makers.size() > 1;
            found.push_back(
                {output,
                 inferred,
                 inferred ? fmt::format("content; {} builds made it", makers.size()) : ""});
        }
    }
    return found;
}

std::vector<Graph::Origin> Graph::input_nodes(const Use& use)
{
    if (use.role.made()) {
        return {{Output{use.build, use.file}.node(), ""}};
    }
    std::vector<Origin> nodes;
    if (use.role.loose()) {
        const auto outputs = candidates(use.role, content_of(use.version));
        const auto* reader = outputs.empty() ? nullptr : builds_.row(use.build);
        if (reader != nullptr) {
            for (const auto& producer : producers(*reader, outputs)) {
                nodes.push_back({producer.output.node(), producer.basis});
            }
        }
    }
    if (nodes.empty()) {
        nodes.push_back({{Kind::source, use.version}, ""});
    }
    return nodes;
}

std::vector<Graph::Origin> Graph::origins_in(std::int64_t build, std::int64_t content)
{
    std::vector<Origin> origins;
    for (const auto& output : outputs_in(build, content)) {
        origins.push_back({output.node(), ""});
    }
    if (!origins.empty()) {
        return origins;
    }
    meet(build);
    for (const auto& use : uses_in(build, content)) {
        const auto nodes = input_nodes(use);
        origins.insert(origins.end(), nodes.begin(), nodes.end());
    }
    if (origins.size() > 1) {
        for (auto& origin : origins) {
            origin.basis = fmt::format("content; {} files of the build have it", origins.size());
        }
    }
    return origins;
}

std::vector<Graph::Origin> Graph::origins_of(std::int64_t content,
                                             const std::optional<std::string>& run)
{
    const auto packer = packer_of(run);
    if (packer != 0) {
        if (auto origins = origins_in(packer, content); !origins.empty()) {
            return origins;
        }
    }
    if (!has_size(content)) {
        return {};
    }
    std::vector<Origin> origins;
    std::set<std::int64_t> makers;
    for (const auto& output : outputs_of(content)) {
        origins.push_back({output.node(), ""});
        makers.insert(output.build);
    }
    if (makers.size() > 1) {
        for (auto& origin : origins) {
            origin.basis = fmt::format("content; {} builds made it", makers.size());
        }
    }
    if (!origins.empty()) {
        return origins;
    }
    std::set<std::int64_t> versions;
    for (const auto& use : uses_of_content(content)) {
        meet(use.build);
        versions.insert(use.version);
    }
    for (const auto version : versions) {
        origins.push_back({{Kind::source, version}, std::string(by_content)});
    }
    return origins;
}

std::int64_t Graph::packer_of(const std::optional<std::string>& run)
{
    return run ? builds_.of_run(*run).value_or(0) : 0;
}

std::vector<Graph::Packed> Graph::payloads(std::string_view condition, std::int64_t key)
{
    std::vector<Packed> found;
    auto& rows = store_.db.cached(fmt::format(
        "SELECT p.package, p.seq, p.path, p.link, p.basis, k.run, ifnull(p.origin, p.content) FROM "
        "payload p JOIN packed k ON k.seq = p.seq WHERE {} AND p.seq <= ?2",
        condition));
    rows.bind(key, known_at_);
    while (rows.step()) {
        found.push_back({rows.integer(0),
                         static_cast<std::uint64_t>(rows.integer(1)),
                         rows.text(2),
                         rows.text(3),
                         rows.text(4),
                         rows.optional_text(5),
                         rows.optional_integer(6).value_or(0)});
    }
    rows.reset();
    return found;
}

std::vector<Graph::Packed> Graph::packed_with(std::int64_t content)
{
    // What was packed with this content, but came from a file with another one, is not of it.
    return payloads("(p.origin = ?1 OR (p.content = ?1 AND p.origin IS NULL))", content);
}

std::vector<Graph::Packed> Graph::packed_in(std::int64_t package)
{
    return payloads("p.package = ?1", package);
}

} // namespace stemma::lineage
