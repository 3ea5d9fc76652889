#include "reach.hpp"

#include "stemma/zstd/zstd.hpp"

#include <algorithm>
#include <map>

#include "varint.hpp"

namespace stemma::lineage {

namespace {

constexpr std::uint64_t reach_layout = 1;
constexpr std::uint64_t largest_reach = 1ULL << 30U;
constexpr std::string_view blob_name = "what leaves a build";

std::optional<std::size_t> position_of(const std::vector<Reach::Crossing>& crossings,
                                       model::FileIndex file)
{
    const auto found = std::lower_bound(
        crossings.begin(), crossings.end(), file, [](const auto& crossing, model::FileIndex index) {
            return crossing.file < index;
        });
    if (found == crossings.end() || found->file != file) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - crossings.begin());
}

} // namespace

std::span<const std::uint32_t> Reach::outlets_of(model::FileIndex file) const
{
    if (file >= class_of.size()) {
        return {};
    }
    return classes[class_of[file]];
}

std::optional<std::uint32_t> Reach::outlet_at(model::FileIndex file) const
{
    const auto found = position_of(outlets, file);
    return found ? std::optional(static_cast<std::uint32_t>(*found)) : std::nullopt;
}

bool Reach::is_inlet(model::FileIndex file) const
{
    return position_of(inlets, file).has_value();
}

std::vector<bool> Reach::classes_into(std::span<const std::uint32_t> positions) const
{
    std::vector<bool> wanted(outlets.size(), false);
    for (const auto position : positions) {
        wanted[position] = true;
    }
    std::vector<bool> found(classes.size(), false);
    for (std::size_t i = 0; i < classes.size(); ++i) {
        found[i] = std::any_of(classes[i].begin(), classes[i].end(), [&](std::uint32_t position) {
            return wanted[position];
        });
    }
    return found;
}

Ancestry::Ancestry(const BuildGraph& graph) : graph_(graph), makers_(graph.files.size())
{
    for (std::uint32_t step = 0; step < graph.steps.size(); ++step) {
        for (const auto output : graph.steps[step].outputs) {
            makers_[output].push_back(step);
        }
    }
}

std::vector<bool> Ancestry::of(model::FileIndex file) const
{
    std::vector<bool> found(graph_.files.size(), false);
    std::vector<model::FileIndex> open{file};
    found[file] = true;
    const auto meet = [&](model::FileIndex input) {
        if (!found[input]) {
            found[input] = true;
            open.push_back(input);
        }
    };
    while (!open.empty()) {
        const auto now = open.back();
        open.pop_back();
        for (const auto step : makers_[now]) {
            const auto& edge = graph_.steps[step];
            std::for_each(edge.inputs.begin(), edge.inputs.end(), meet);
            if (edge.tool) {
                meet(*edge.tool);
            }
        }
    }
    return found;
}

Reach make_reach(const BuildGraph& graph,
                 std::vector<Reach::Crossing> outlets,
                 std::vector<Reach::Crossing> inlets)
{
    Reach reach;
    reach.outlets = std::move(outlets);
    reach.inlets = std::move(inlets);
    reach.classes.emplace_back();
    if (reach.outlets.empty()) {
        return reach;
    }
    std::vector<std::vector<std::uint32_t>> into(graph.files.size());
    const Ancestry ancestry(graph);
    for (std::uint32_t position = 0; position < reach.outlets.size(); ++position) {
        const auto upstream = ancestry.of(reach.outlets[position].file);
        for (std::size_t file = 0; file < upstream.size(); ++file) {
            if (upstream[file]) {
                into[file].push_back(position);
            }
        }
    }
    std::map<std::vector<std::uint32_t>, std::uint32_t> numbers;
    numbers.emplace(std::vector<std::uint32_t>(), 0U);
    reach.class_of.reserve(into.size());
    for (auto& positions : into) {
        const auto next = static_cast<std::uint32_t>(reach.classes.size());
        const auto [found, fresh] = numbers.emplace(std::move(positions), next);
        if (fresh) {
            reach.classes.push_back(found->first);
        }
        reach.class_of.push_back(found->second);
    }
    return reach;
}

namespace {

void put_crossings(std::string& out, const std::vector<Reach::Crossing>& crossings)
{
    put(out, crossings.size());
    Reach::Crossing before;
    for (const auto& crossing : crossings) {
        put(out, crossing.file - before.file);
        put_signed(out, crossing.content - before.content);
        before = crossing;
    }
}

std::vector<Reach::Crossing> read_crossings(NumberReader& reader)
{
    std::vector<Reach::Crossing> crossings(reader.count());
    Reach::Crossing before;
    for (auto& crossing : crossings) {
        crossing.file = before.file + static_cast<model::FileIndex>(reader.number());
        crossing.content = before.content + reader.signed_number();
        before = crossing;
    }
    return crossings;
}

} // namespace

std::string encode(const Reach& reach)
{
    std::string out;
    put(out, reach_layout);
    put_crossings(out, reach.outlets);
    put_crossings(out, reach.inlets);
    put(out, reach.classes.size());
    for (const auto& positions : reach.classes) {
        put_ascending(out, positions);
    }
    put(out, reach.class_of.size());
    for (const auto number : reach.class_of) {
        put(out, number);
    }
    return zstd::compress(out);
}

Reach decode_reach(std::string_view blob)
{
    const std::string text = zstd::decompress(blob, largest_reach);
    NumberReader reader(text, blob_name);
    if (reader.number() != reach_layout) {
        reader.refuse();
    }
    Reach reach;
    reach.outlets = read_crossings(reader);
    reach.inlets = read_crossings(reader);
    reach.classes.resize(reader.count());
    for (auto& positions : reach.classes) {
        positions = reader.ascending(reach.outlets.size());
    }
    reach.class_of.resize(reader.count());
    for (auto& number : reach.class_of) {
        const auto value = reader.number();
        if (value >= reach.classes.size()) {
            reader.refuse();
        }
        number = static_cast<std::uint32_t>(value);
    }
    return reach;
}

} // namespace stemma::lineage
