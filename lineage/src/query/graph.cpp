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
      recall_(view.known_at ? std::make_shared<Recall>(store, known_at_) : recall(store)),
      builds_(recall_->builds),
      images_(recall_->images),
      placements_(store, view)
{
}

void Graph::note(const std::string& what, const std::string& reason)
{
    gaps_.emplace(std::pair(what, reason), Gap{what, reason});
}

const BuildRow* Graph::meet(std::int64_t build)
{
    const auto* found = builds_.row(build);
    if (found != nullptr && found->dirty != 0) {
        dirty_.insert(build);
    }
    if (found != nullptr && found->holes != 0) {
        note(fmt::format("build {} of {}", found->run, found->name),
             fmt::format("{} of its processes could not be observed", found->holes));
    }
    return found;
}

std::shared_ptr<const Build> Graph::build(std::int64_t id)
{
    return meet(id) != nullptr ? builds_.get(id) : nullptr;
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
    const auto content = content_of(node.id);
    for (const auto& use : uses_of_version(node.id)) {
        const auto* reader = meet(use.build);
        if (reader != nullptr && !use.role.made() &&
            producers(*reader, candidates(use.role, content)).empty()) {
            steps_that_use(
                *builds_.get(use.build), use.file, {node, {}, {}, 0, 0, -1, false, {}}, visit);
        }
    }
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
    const auto content = content_of(maker->graph.files.versions[output.file]);
    for (const auto& inlet : inlets_of(content)) {
        const auto* reader = inlet.build == output.build ? nullptr : builds_.row(inlet.build);
        if (reader == nullptr) {
            continue;
        }
        for (const auto& producer : producers(*reader, outputs_of(content))) {
            if (producer.output.node() == node) {
                steps_that_use(*build(inlet.build),
                               inlet.file,
                               {node, {}, {}, 0, 0, -1, producer.inferred, producer.basis},
                               visit);
            }
        }
    }
    packages_of_content(node, content, visit);
    images_of_content(node, content, visit);
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

void Graph::packages_of_content(Node node, std::int64_t content, const Visit& visit)
{
    for (const auto& packed : packed_with(content)) {
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
    if (const auto content = content_of_package(node.id); content != 0) {
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
        note_unobserved(*maker, output.file);
    }
    for (const auto* at = from; at != to; ++at) {
        const auto& step = maker->graph.steps[*at];
        auto inputs = step.inputs;
        if (step.tool) {
            inputs.push_back(*step.tool);
        }
        for (const auto input : inputs) {
            const Use use{maker->id,
                          input,
                          maker->graph.files.versions[input],
                          maker->graph.files.roles[input]};
            for (const auto& origin : input_nodes(use)) {
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

void Graph::note_unobserved(const BuildRow& build, model::FileIndex file)
{
    note(fmt::format("file {} of build {}", file, build.run),
         "the step that made it was not observed");
}

void Graph::note_unexplained(const Packed& file)
{
    const PackageRow row = images_.package(file.package);
    note(fmt::format("{} in package {} {}", printable(file.path), row.name, row.version),
         file.run && !builds_.of_run(*file.run) ? fmt::format("build {} is not recorded", *file.run)
                                                : "nobody recorded where it came from");
}

void Graph::note_unexplained_file(const std::string& path)
{
    note(fmt::format("{} in an image", printable(path)), "nobody recorded where it came from");
}

void Graph::note_unknown_package(std::int64_t package)
{
    const PackageRow row = images_.package(package);
    if (row.sha256 && !row.known) {
        note(fmt::format("package {} {}", row.name, row.version),
             "nobody recorded how it was built: its sources are unknown");
    }
}

void Graph::to_package(Node node, const Visit& visit)
{
    const auto packed = packed_in(node.id);
    if (packed.empty()) {
        note_unknown_package(node.id);
    }
    for (const auto& entry : packed) {
        if (entry.content == 0) {
            continue; // a folder or a symbolic link
        }
        const auto origins = origins_of(entry.content, entry.run);
        if (origins.empty()) {
            note_unexplained(entry);
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
    for (const auto& file : images_.files_in(node.id)) {
        const auto seq = images_.seq(file.image).value_or(0);
        if (const auto package = package_with(file.content); package != 0) {
            visit({{Kind::package, package}, node, "installed", seq, 0, -1, false, {}});
            continue;
        }
        const auto origins = origins_of(file.content, std::nullopt);
        if (origins.empty()) {
            note_unexplained_file(file.path);
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
