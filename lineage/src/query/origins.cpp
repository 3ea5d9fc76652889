#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <deque>
#include <tuple>

#include "../store/ids.hpp"
#include "graph.hpp"

namespace stemma::lineage {

namespace {

bool is_tracked(model::FileState state)
{
    return state == model::FileState::clean || state == model::FileState::dirty;
}

} // namespace

bool Graph::has_size(std::int64_t content)
{
    auto& row = store_.db.cached("SELECT ifnull(size, 1) FROM content WHERE id = ?");
    row.bind(content);
    const bool some = row.step() && row.integer(0) != 0;
    row.reset();
    return some;
}

std::vector<Graph::Producer> Graph::producers(const Build& reader, model::FileIndex file)
{
    const auto& entry = reader.graph.files[file];
    const auto content = content_of(entry.version);
    if (is_tracked(entry.state) || !has_size(content)) {
        return {};
    }
    auto outputs = outputs_of(content);
    std::erase_if(outputs, [&](const Output& output) { return output.build == reader.id; });
    // An object that an earlier build of the same checkout left behind is that one's, and nobody
    // else's.
    std::optional<std::tuple<std::int64_t, std::string, std::int64_t>> latest;
    std::set<std::int64_t> makers;
    for (const auto& output : outputs) {
        const auto made = builds_.get(output.build);
        makers.insert(output.build);
        if (made && made->repo == reader.repo && made->finished <= reader.started) {
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

std::vector<Graph::Origin> Graph::input_nodes(const Build& reader, model::FileIndex file)
{
    if (reader.made_here(file)) {
        return {{Output{reader.id, file}.node(), ""}};
    }
    std::vector<Origin> nodes;
    for (const auto& producer : producers(reader, file)) {
        nodes.push_back({producer.output.node(), producer.basis});
    }
    if (nodes.empty()) {
        nodes.push_back({{Kind::source, reader.graph.files[file].version}, ""});
    }
    return nodes;
}

std::vector<Graph::Origin> Graph::origins_in(std::int64_t id, std::int64_t content)
{
    std::vector<Origin> origins;
    for (const auto& output : outputs_of(content)) {
        if (output.build == id) {
            origins.push_back({output.node(), ""});
        }
    }
    if (!origins.empty()) {
        return origins;
    }
    const auto packer = build(id);
    for (const auto& use : uses_of_content(content)) {
        if (use.build == id && packer) {
            const auto nodes = input_nodes(*packer, use.file);
            origins.insert(origins.end(), nodes.begin(), nodes.end());
        }
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
    const auto packer = run ? builds_.of_run(*run) : std::nullopt;
    if (packer) {
        if (auto origins = origins_in(*packer, content); !origins.empty()) {
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
        if (const auto reader = build(use.build)) {
            versions.insert(reader->graph.files[use.file].version);
        }
    }
    for (const auto version : versions) {
        origins.push_back({{Kind::source, version}, std::string(by_content)});
    }
    return origins;
}

} // namespace stemma::lineage
