#include "lines.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

namespace stemma::lineage {

namespace {

/// Steps that differ in more than a third of the whole are kept whole, for the next ones.
constexpr std::size_t worth_comparing = 3;

struct Frame {
    std::string blob;
    std::optional<std::int64_t> base;
};

/// throws  corrupt: there is no such build
Frame steps_of(sqlite::Database& db, std::int64_t build)
{
    auto& row = db.cached("SELECT graph, base FROM build WHERE id = ?");
    row.bind(build);
    if (!row.step()) {
        throw Error(ErrorCode::corrupt, fmt::format("the store has no build {}", build));
    }
    Frame found{row.text(0), row.optional_integer(1)};
    row.reset();
    return found;
}

std::string text_of_base(sqlite::Database& db, const Frame& frame)
{
    return frame.base ? unpack_steps(steps_of(db, *frame.base).blob) : std::string();
}

} // namespace

LinePlace next_in_line(sqlite::Database& db, std::int64_t repo, const model::Build& build)
{
    auto& newest = db.cached("SELECT line, place, id, ifnull(base, id) FROM build WHERE repo = ? "
                             "AND name = ? AND branch IS ? ORDER BY place DESC LIMIT 1");
    newest.bind(repo, build.name, build.branch);
    LinePlace where;
    if (newest.step()) {
        where = {newest.integer(0), newest.integer(1) + 1, newest.integer(2), newest.integer(3)};
        newest.reset();
        return where;
    }
    auto& last = db.cached("SELECT ifnull(max(line), 0) FROM build");
    last.step();
    where.line = last.integer(0) + 1;
    last.reset();
    return where;
}

StoredSteps pack_steps(sqlite::Database& db, const LinePlace& where, const BuildGraph& graph)
{
    if (where.base) {
        const auto base = steps_of(db, *where.base).blob;
        auto blob = encode_steps(graph, unpack_steps(base));
        if (blob.size() <= base.size() / worth_comparing) {
            return {where.base, std::move(blob)};
        }
    }
    return {std::nullopt, encode_steps(graph)};
}

void read_steps(sqlite::Database& db, std::int64_t build, BuildGraph& graph)
{
    const auto frame = steps_of(db, build);
    decode_steps(frame.blob, graph, text_of_base(db, frame));
}

namespace {

struct FileUse {
    std::int64_t version = 0;
    model::FileIndex file = 0;
    std::uint8_t role = 0;
    auto operator<=>(const FileUse&) const = default; // NOLINT(modernize-use-nullptr): its own 0
};

/// Ascending; of a version that a manifest lists twice the first.
std::vector<FileUse> uses_of(const BuildGraph::Files& files)
{
    std::vector<FileUse> uses;
    uses.reserve(files.size());
    for (model::FileIndex file = 0; file < files.size(); ++file) {
        uses.push_back({files.versions[file], file, files.roles[file].bits()});
    }
    std::sort(uses.begin(), uses.end());
    const auto same = [](const FileUse& a, const FileUse& b) { return a.version == b.version; };
    uses.erase(std::unique(uses.begin(), uses.end(), same), uses.end());
    return uses;
}

std::vector<FileUse> uses_before(sqlite::Database& db, const LinePlace& where)
{
    if (!where.before) {
        return {};
    }
    auto& row = db.cached("SELECT files FROM build_reach WHERE build = ?");
    row.bind(*where.before);
    const auto files = row.step() ? decode_files(row.view(0)) : BuildGraph::Files();
    row.reset();
    return uses_of(files);
}

} // namespace

void insert_build_files(sqlite::Database& db,
                        const LinePlace& where,
                        const BuildGraph::Files& files)
{
    const auto before = uses_before(db, where);
    const auto now = uses_of(files);
    std::vector<FileUse> gone;
    std::vector<FileUse> fresh;
    std::set_difference(
        before.begin(), before.end(), now.begin(), now.end(), std::back_inserter(gone));
    std::set_difference(
        now.begin(), now.end(), before.begin(), before.end(), std::back_inserter(fresh));
    auto& end = db.cached(
        "UPDATE build_file SET last = ?3 WHERE version = ?1 AND line = ?2 AND last IS NULL");
    for (const auto& use : gone) {
        end.bind(use.version, where.line, where.place - 1).run();
    }
    auto& begin = db.cached("INSERT INTO build_file(version, line, first, last, file, role) VALUES "
                            "(?, ?, ?, NULL, ?, ?)");
    for (const auto& use : fresh) {
        begin.bind(use.version, where.line, where.place, use.file, use.role).run();
    }
}

} // namespace stemma::lineage
