#include "build_graph.hpp"

#include "stemma/core/error.hpp"
#include "stemma/zstd/zstd.hpp"

namespace stemma::lineage {

namespace {

constexpr std::uint64_t layout = 1;

void put(std::string& out, std::uint64_t number)
{
    while (number >= 0x80U) {
        out.push_back(static_cast<char>((number & 0x7fU) | 0x80U));
        number >>= 7U;
    }
    out.push_back(static_cast<char>(number));
}

void put_signed(std::string& out, std::int64_t number)
{
    put(out, (static_cast<std::uint64_t>(number) << 1U) ^ static_cast<std::uint64_t>(number >> 63));
}

void put_ascending(std::string& out, const std::vector<model::FileIndex>& indexes)
{
    put(out, indexes.size());
    model::FileIndex before = 0;
    for (const auto index : indexes) {
        put(out, index - before);
        before = index;
    }
}

class Reader {
public:
    explicit Reader(std::string_view blob) : blob_(blob) {}

    std::uint64_t number()
    {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (at_ == blob_.size()) {
                break;
            }
            const auto byte = static_cast<unsigned char>(blob_[at_++]);
            value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
            if (byte < 0x80U) {
                return value;
            }
        }
        throw Error(ErrorCode::corrupt, "a build's graph is cut short");
    }

    std::int64_t signed_number()
    {
        const auto value = number();
        return static_cast<std::int64_t>(value >> 1U) ^ -static_cast<std::int64_t>(value & 1U);
    }

    /// A count of things of at least one byte each.
    std::size_t count()
    {
        const auto value = number();
        if (value > blob_.size() - at_) {
            throw Error(ErrorCode::corrupt, "a build's graph is cut short");
        }
        return value;
    }

    std::vector<model::FileIndex> ascending(std::size_t files)
    {
        std::vector<model::FileIndex> indexes(count());
        std::uint64_t before = 0;
        for (auto& index : indexes) {
            before += number();
            if (before >= files) {
                throw Error(ErrorCode::corrupt, "a build's graph names a file that it lacks");
            }
            index = static_cast<model::FileIndex>(before);
        }
        return indexes;
    }

private:
    std::string_view blob_;
    std::size_t at_ = 0;
};

} // namespace

std::string encode(const BuildGraph& graph)
{
    std::string out;
    put(out, layout);
    put(out, graph.files.size());
    std::int64_t before = 0;
    for (const auto& file : graph.files) {
        put_signed(out, file.version - before);
        put(out, static_cast<std::uint64_t>(file.state));
        before = file.version;
    }
    put(out, graph.steps.size());
    for (const auto& step : graph.steps) {
        put(out, static_cast<std::uint64_t>(step.kind));
        put_signed(out, step.exit);
        put(out, step.tool ? *step.tool + 1ULL : 0ULL);
        put_ascending(out, step.inputs);
        put_ascending(out, step.outputs);
    }
    return zstd::compress(out);
}

BuildGraph decode_graph(std::string_view blob)
{
    constexpr std::uint64_t largest = 1ULL << 30U;
    // A frame never begins with this byte; the first stores held the layout as it is.
    const bool plain = !blob.empty() && blob.front() == '\1';
    const std::string text = plain ? std::string(blob) : zstd::decompress(blob, largest);
    Reader reader(text);
    if (reader.number() != layout) {
        throw Error(ErrorCode::corrupt, "a build's graph is of an unknown layout");
    }
    BuildGraph graph;
    graph.files.resize(reader.count());
    std::int64_t before = 0;
    for (auto& file : graph.files) {
        before += reader.signed_number();
        file.version = before;
        file.state = static_cast<model::FileState>(reader.number());
    }
    graph.steps.resize(reader.count());
    for (auto& step : graph.steps) {
        step.kind = static_cast<model::StepKind>(reader.number());
        step.exit = static_cast<int>(reader.signed_number());
        if (const auto tool = reader.number(); tool != 0) {
            step.tool = static_cast<model::FileIndex>(tool - 1);
        }
        step.inputs = reader.ascending(graph.files.size());
        step.outputs = reader.ascending(graph.files.size());
    }
    return graph;
}

} // namespace stemma::lineage
