#include "stemma/analyzer/block_pool.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/zstd/zstd.hpp"

#include <limits>

#include "pack_file.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::string_view map_schema = "stemma.blocks/1";
constexpr std::uint64_t largest_map = 1ULL << 30U;

std::uint64_t number_at(const Json& values, std::size_t index)
{
    if (index >= values.size() || !values[index].is_number_unsigned()) {
        throw Error(ErrorCode::corrupt, "a run of blocks is not four numbers");
    }
    return values[index].get<std::uint64_t>();
}

BlockMap::Run run_from(const Json& values, const BlockMap& map, std::uint64_t after)
{
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    const BlockMap::Run run{number_at(values, 0),
                            number_at(values, 1),
                            static_cast<std::uint32_t>(number_at(values, 2)),
                            static_cast<std::uint32_t>(number_at(values, 3))};
    const auto blocks = (map.size + pool_block - 1) / pool_block;
    const bool in_order = run.block >= after && run.block <= blocks && run.count > 0;
    if (!in_order || run.count > blocks - run.block || number_at(values, 2) >= map.packs.size() ||
        number_at(values, 3) > most || run.count > most - run.first) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("the run of blocks {} is out of bounds", values.dump()));
    }
    return run;
}

} // namespace

std::string to_bytes(const BlockMap& map)
{
    auto runs = Json::array();
    for (const auto& run : map.runs) {
        runs.push_back({run.block, run.count, run.pack, run.first});
    }
    return zstd::compress(canonical_json({{"content", map.content.hex()},
                                          {"packs", map.packs},
                                          {"runs", std::move(runs)},
                                          {"schema", map_schema},
                                          {"size", map.size}}));
}

BlockMap block_map_from(std::string_view bytes, std::string_view name)
{
    const auto json = parse_json(zstd::decompress(bytes, largest_map), name);
    if (string_member(json, "schema") != map_schema) {
        throw Error(
            ErrorCode::unsupported,
            fmt::format("{} is of a newer form, '{}'", name, string_member(json, "schema")));
    }
    BlockMap map;
    const auto content = Digest::from_hex(string_member(json, "content"));
    const auto& size = member(json, "size");
    if (!content || !size.is_number_unsigned() ||
        size.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
        throw Error(ErrorCode::corrupt, fmt::format("{} has no content or no size", name));
    }
    map.content = *content;
    map.size = size.get<std::uint64_t>();
    for (const auto& pack : array_member(json, "packs")) {
        if (!pack.is_string() || !is_uuid(pack.get<std::string>())) { // it becomes a file's name
            throw Error(ErrorCode::corrupt, fmt::format("{} names a pack that is none", name));
        }
        map.packs.push_back(pack.get<std::string>());
    }
    std::uint64_t after = 0;
    for (const auto& values : array_member(json, "runs")) {
        map.runs.push_back(run_from(values, map, after));
        after = map.runs.back().block + map.runs.back().count;
    }
    return map;
}

} // namespace stemma::analyzer
