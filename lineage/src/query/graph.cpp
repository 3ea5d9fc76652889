#include "graph.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <deque>
#include <tuple>

#include "../store/ids.hpp"

namespace stemma::lineage {

Graph::Graph(Store::Impl& store, const View& view)
    : store_(store),
      view_(view),
      known_at_(view.known_at.value_or(static_cast<std::uint64_t>(forever))),
      builds_(store, known_at_),
      images_(store, known_at_),
      placements_(store, view)
{
}

void Graph::note(std::string what, std::string reason)
{
    gaps_.emplace(std::pair(what, reason), Gap{what, reason});
}

std::shared_ptr<const Build> Graph::build(std::int64_t id)
{
    auto found = builds_.get(id);
    if (found && found->dirty != 0) {
        dirty_.insert(id);
    }
    if (found && found->holes != 0) {
        note(fmt::format("build {} of {}", found->run, found->name),
             fmt::format("{} of its processes could not be observed", found->holes));
    }
    return found;
}

std::int64_t Graph::content_of(std::int64_t version)
{
    auto& row = store_.db.cached("SELECT content FROM version WHERE id = ?");
    row.bind(version);
    const auto content = row.step() ? row.integer(0) : 0;
    row.reset();
    return content;
}

std::vector<Output> Graph::outputs_of(std::int64_t content)
{
    std::vector<Output> outputs;
    auto& rows =
        store_.db.cached("SELECT o.build, o.file FROM output o JOIN build b ON b.id = o.build "
                         "WHERE o.content = ? AND b.seq <= ?");
    rows.bind(content, known_at_);
    while (rows.step()) {
        outputs.push_back({rows.integer(0), static_cast<model::FileIndex>(rows.integer(1))});
    }
    rows.reset();
    return outputs;
}

std::vector<Graph::Use> Graph::uses_of_version(std::int64_t version)
{
    std::vector<Use> uses;
    auto& rows =
        store_.db.cached("SELECT f.build, f.file FROM build_file f JOIN build b ON b.id = f.build "
                         "WHERE f.version = ? AND b.seq <= ?");
    rows.bind(version, known_at_);
    while (rows.step()) {
        uses.push_back({rows.integer(0), static_cast<model::FileIndex>(rows.integer(1))});
    }
    rows.reset();
    return uses;
}

std::vector<Graph::Use> Graph::uses_of_content(std::int64_t content)
{
    std::vector<Use> uses;
    auto& rows = store_.db.cached(
        "SELECT f.build, f.file FROM version v JOIN build_file f ON f.version = v.id JOIN build b "
        "ON b.id = f.build WHERE v.content = ? AND b.seq <= ?");
    rows.bind(content, known_at_);
    while (rows.step()) {
        uses.push_back({rows.integer(0), static_cast<model::FileIndex>(rows.integer(1))});
    }
    rows.reset();
    return uses;
}

void Graph::steps_that_use(const Build& reader,
                           model::FileIndex file,
                           Link link,
                           const Visit& visit)
{
    const auto [from, to] = reader.users(file);
    for (const auto* step = from; step != to; ++step) {
        const auto& edge = reader.graph.steps[*step];
        link.relation = model::to_string(edge.kind);
        link.seq = reader.seq;
        link.build = reader.id;
        link.step = static_cast<std::int32_t>(*step);
        for (const auto output : edge.outputs) {
            link.to = Output{reader.id, output}.node();
            visit(link);
        }
    }
}

void Graph::from_source(Node node, const Visit& visit)
{
    for (const auto& use : uses_of_version(node.id)) {
        const auto reader = build(use.build);
        if (reader && !reader->made_here(use.file) && producers(*reader, use.file).empty()) {
            steps_that_use(*reader, use.file, {node, {}, {}, 0, 0, -1, false, {}}, visit);
        }
    }
    const auto content = content_of(node.id);
    packages_of_content(node, content, visit);
    images_of_content(node, content, visit);
}

void Graph::from_artifact(Node node, const Visit& visit)
{
    const auto output = Output::of(node);
    const auto maker = build(output.build);
    if (!maker || output.file >= maker->graph.files.size()) {
        return;
    }
    steps_that_use(*maker, output.file, {node, {}, {}, 0, 0, -1, false, {}}, visit);
    const auto content = content_of(maker->graph.files[output.file].version);
    for (const auto& use : uses_of_content(content)) {
        const auto reader = use.build == output.build ? nullptr : build(use.build);
        if (!reader || reader->made_here(use.file)) {
            continue;
        }
        for (const auto& producer : producers(*reader, use.file)) {
            if (producer.output.node() == node) {
                steps_that_use(*reader,
                               use.file,
                               {node, {}, {}, 0, 0, -1, producer.inferred, producer.basis},
                               visit);
            }
        }
    }
    packages_of_content(node, content, visit);
    images_of_content(node, content, visit);
}

std::vector<Graph::Packed> Graph::payloads(std::string_view condition, std::int64_t key)
{
    std::vector<Packed> found;
    auto& rows = store_.db.cached(fmt::format(
        "SELECT p.package, p.seq, p.path, p.link, p.basis, k.run, p.content, p.origin FROM "
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
                         rows.optional_integer(6),
                         rows.optional_integer(7)});
    }
    rows.reset();
    return found;
}

namespace {

/// What a link from a build's file to a package rests on; empty: it was told when packing.
std::string basis_of(const std::string& origin_basis, std::string_view told)
{
    if (!origin_basis.empty()) {
        return origin_basis;
    }
    return told == "unexplained" ? std::string(by_content) : std::string();
}

} // namespace

std::int64_t Graph::packer_of(const std::optional<std::string>& run)
{
    return run ? builds_.of_run(*run).value_or(0) : 0;
}

void Graph::packages_of_content(Node node, std::int64_t content, const Visit& visit)
{
    for (const auto& packed : payloads("(p.content = ?1 OR p.origin = ?1)", content)) {
        if (packed.origin.value_or(packed.content.value_or(0)) != content) {
            continue; // this content was packed, but it came from another one
        }
        for (const auto& origin : origins_of(content, packed.run)) {
            if (origin.node == node) {
                const auto basis = basis_of(origin.basis, packed.link);
                visit({node,
                       {Kind::package, packed.package},
                       "packed",
                       packed.seq,
                       packer_of(packed.run),
                       -1,
                       !basis.empty(),
                       basis});
            }
        }
    }
}

void Graph::emit_holders(Node node, const std::vector<Images::Holder>& holders, const Visit& visit)
{
    for (const auto& holder : holders) {
        const Node to{Kind::image, holder.image};
        const auto seq = images_.seq(holder.image).value_or(0);
        if (holder.from == holder.image) {
            visit({node, to, "installed", seq, 0, -1, holder.inferred, holder.basis});
        } else {
            visit({{Kind::image, holder.from}, to, "derived", seq, 0, -1, false, {}});
        }
    }
}

void Graph::images_of_content(Node node, std::int64_t content, const Visit& visit)
{
    const auto holders = images_.holders_of_content(content);
    if (holders.empty()) {
        return;
    }
    for (const auto& origin : origins_of(content, std::nullopt)) {
        if (origin.node == node) {
            auto found = holders;
            for (auto& holder : found) {
                holder.inferred = holder.inferred || !origin.basis.empty();
                holder.basis = holder.basis.empty() ? origin.basis : holder.basis;
            }
            emit_holders(node, found, visit);
        }
    }
}

void Graph::from_package(Node node, const Visit& visit)
{
    emit_holders(node, images_.holders_of_package(node.id), visit);
    auto& row = store_.db.cached("SELECT content.id FROM package JOIN content ON content.sha256 = "
                                 "package.sha256 WHERE package.id = ?");
    row.bind(node.id);
    const auto content = row.step() ? row.integer(0) : 0;
    row.reset();
    if (content != 0) {
        emit_holders(node, images_.holders_of_content(content), visit);
    }
}

void Graph::from_image(Node node, const Visit& visit)
{
    for (const auto& placement : placements_.with_image(node.id)) {
        visit({node, {Kind::vm, placement.vm}, "deployed", placement.placed, 0, -1, false, {}});
    }
}

void Graph::derived(Node image, const Visit& visit)
{
    std::set<std::int64_t> seen{image.id};
    std::deque<std::int64_t> open{image.id};
    while (!open.empty()) {
        const auto parent = open.front();
        open.pop_front();
        for (const auto child : images_.children(parent)) {
            if (seen.insert(child).second) {
                visit({{Kind::image, parent},
                       {Kind::image, child},
                       "derived",
                       images_.seq(child).value_or(0),
                       0,
                       -1,
                       false,
                       {}});
                open.push_back(child);
            }
        }
    }
}

void Graph::downstream(Node node, const Visit& visit)
{
    switch (node.kind) {
    case Kind::source:
        return from_source(node, visit);
    case Kind::artifact:
        return from_artifact(node, visit);
    case Kind::package:
        return from_package(node, visit);
    case Kind::image:
        return from_image(node, visit);
    case Kind::vm:
        if (const auto placement = placements_.of(node.id); placement && placement->host != 0) {
            visit({node,
                   {Kind::host, placement->host},
                   "runs on",
                   placement->placed,
                   0,
                   -1,
                   false,
                   {}});
        }
        return;
    case Kind::host:
        return;
    }
}

void Graph::to_artifact(Node node, const Visit& visit)
{
    const auto output = Output::of(node);
    const auto maker = build(output.build);
    if (!maker || output.file >= maker->graph.files.size()) {
        return;
    }
    const auto [from, to] = maker->makers(output.file);
    if (from == to) {
        note(fmt::format("file {} of build {}", output.file, maker->run),
             "the step that made it was not observed");
    }
    for (const auto* at = from; at != to; ++at) {
        const auto& step = maker->graph.steps[*at];
        auto inputs = step.inputs;
        if (step.tool) {
            inputs.push_back(*step.tool);
        }
        for (const auto input : inputs) {
            for (const auto& origin : input_nodes(*maker, input)) {
                visit({origin.node,
                       node,
                       std::string(model::to_string(step.kind)),
                       maker->seq,
                       maker->id,
                       static_cast<std::int32_t>(*at),
                       !origin.basis.empty(),
                       origin.basis});
            }
        }
    }
}

void Graph::to_package(Node node, const Visit& visit)
{
    const auto packed = payloads("p.package = ?1", node.id);
    const PackageRow row = images_.package(node.id);
    if (packed.empty() && row.sha256 && !row.known) {
        note(fmt::format("package {} {}", row.name, row.version),
             "nobody recorded how it was built: its sources are unknown");
    }
    for (const auto& entry : packed) {
        const auto content = entry.origin ? entry.origin : entry.content;
        if (!content) {
            continue; // a folder or a symbolic link
        }
        const auto origins = origins_of(*content, entry.run);
        if (origins.empty()) {
            note(fmt::format("{} in package {} {}", printable(entry.path), row.name, row.version),
                 entry.run && !builds_.of_run(*entry.run)
                     ? fmt::format("build {} is not recorded", *entry.run)
                     : "nobody recorded where it came from");
        }
        for (const auto& origin : origins) {
            const auto basis = basis_of(origin.basis, entry.link);
            visit({origin.node,
                   node,
                   "packed",
                   entry.seq,
                   packer_of(entry.run),
                   -1,
                   !basis.empty(),
                   basis});
        }
    }
}

void Graph::to_image(Node node, const Visit& visit)
{
    if (!images_.seq(node.id)) {
        note("an image that a VM runs", "no event describes it: what is in it is unknown");
        return;
    }
    for (const auto& contained : images_.packages_in(node.id)) {
        visit({{Kind::package, contained.package},
               node,
               "installed",
               images_.seq(contained.image).value_or(0),
               0,
               -1,
               contained.inferred,
               contained.basis});
    }
    auto& package =
        store_.db.cached("SELECT package.id FROM package JOIN content ON content.sha256 = "
                         "package.sha256 WHERE content.id = ?");
    for (const auto& file : images_.files_in(node.id)) {
        const auto seq = images_.seq(file.image).value_or(0);
        package.bind(file.content);
        if (package.step()) {
            const Node from{Kind::package, package.integer(0)};
            package.reset();
            visit({from, node, "installed", seq, 0, -1, false, {}});
            continue;
        }
        package.reset();
        const auto origins = origins_of(file.content, std::nullopt);
        if (origins.empty()) {
            note(fmt::format("{} in an image", printable(file.path)),
                 "nobody recorded where it came from");
        }
        for (const auto& origin : origins) {
            visit(
                {origin.node, node, "installed", seq, 0, -1, !origin.basis.empty(), origin.basis});
        }
    }
}

void Graph::upstream(Node node, const Visit& visit)
{
    switch (node.kind) {
    case Kind::source:
        return;
    case Kind::artifact:
        return to_artifact(node, visit);
    case Kind::package:
        return to_package(node, visit);
    case Kind::image:
        return to_image(node, visit);
    case Kind::vm:
        if (const auto placement = placements_.of(node.id)) {
            if (placement->image != 0) {
                visit({{Kind::image, placement->image},
                       node,
                       "deployed",
                       placement->placed,
                       0,
                       -1,
                       false,
                       {}});
            } else {
                note("a VM", "the image that it runs is not known");
            }
        }
        return;
    case Kind::host:
        for (const auto& placement : placements_.on_host(node.id)) {
            visit({{Kind::vm, placement.vm}, node, "runs on", placement.placed, 0, -1, false, {}});
        }
        return;
    }
}

} // namespace stemma::lineage
