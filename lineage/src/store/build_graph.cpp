#include "build_graph.hpp"

#include "stemma/zstd/zstd.hpp"

#include "varint.hpp"

namespace stemma::lineage {

namespace {

constexpr std::uint64_t layout = 2;
constexpr std::uint64_t largest = 1ULL << 30U;
constexpr std::string_view files_name = "the list of a build's files";
constexpr std::string_view graph_name = "a build's graph";

} // namespace

void BuildGraph::mark_made()
{
    for (const auto& step : steps) {
        for (const auto output : step.outputs) {
            files.roles[output].make(step.kind == model::StepKind::generate);
        }
    }
}

std::string encode_files(const BuildGraph::Files& files)
{
    std::string out;
    put(out, layout);
    put(out, files.size());
    std::int64_t before = 0;
    for (const std::int64_t version : files.versions) {
        put_signed(out, version - before);
        before = version;
    }
    for (const auto role : files.roles) {
        put(out, role.bits());
    }
    return zstd::compress(out);
}

BuildGraph::Files decode_files(std::string_view blob)
{
    const std::string text = zstd::decompress(blob, largest);
    NumberReader reader(text, files_name);
    if (reader.number() != layout) {
        reader.refuse();
    }
    BuildGraph::Files files;
    files.versions.resize(reader.count());
    std::int64_t before = 0;
    for (auto& version : files.versions) {
        before += reader.signed_number();
        version = static_cast<std::uint32_t>(before);
    }
    files.roles.reserve(files.versions.size());
    while (files.roles.size() < files.versions.size()) {
        files.roles.emplace_back(static_cast<std::uint8_t>(reader.number()));
    }
    return files;
}

std::string encode_steps(const BuildGraph& graph, std::string_view base)
{
    std::string out;
    put(out, layout);
    put(out, graph.steps.size());
    for (const auto& step : graph.steps) {
        put(out, static_cast<std::uint64_t>(step.kind));
        put_signed(out, step.exit);
        put(out, step.tool ? *step.tool + 1ULL : 0ULL);
        put_ascending(out, step.inputs);
        put_ascending(out, step.outputs);
    }
    return base.empty() ? zstd::compress(out) : zstd::compress_against(out, base);
}

std::string unpack_steps(std::string_view blob, std::string_view base)
{
    return base.empty() ? zstd::decompress(blob, largest)
                        : zstd::decompress_against(blob, base, largest);
}

void decode_steps(std::string_view blob, BuildGraph& graph, std::string_view base)
{
    const std::string text = unpack_steps(blob, base);
    NumberReader reader(text, graph_name);
    if (reader.number() != layout) {
        reader.refuse();
    }
    graph.steps.resize(reader.count());
    for (auto& step : graph.steps) {
        step.kind = static_cast<model::StepKind>(reader.number());
        step.exit = static_cast<int>(reader.signed_number());
        if (const auto tool = reader.number(); tool != 0) {
            if (tool > graph.files.size()) {
                reader.refuse();
            }
            step.tool = static_cast<model::FileIndex>(tool - 1);
        }
        step.inputs = reader.ascending(graph.files.size());
        step.outputs = reader.ascending(graph.files.size());
    }
}

} // namespace stemma::lineage
