#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <set>

#include "facts.hpp"
#include "store/impl.hpp"
#include "store/lines.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

/// Builds of two branches whose files come, change, go and come again.
std::vector<model::Manifest> changing_builds(std::uint64_t seed)
{
    std::mt19937_64 random(seed);
    std::vector<model::Manifest> builds;
    for (int number = 0; number < 60; ++number) {
        model::Manifest manifest;
        manifest.build = {"shop", "shop", std::nullopt, std::nullopt, {}, ""};
        if (random() % 3 == 0) {
            manifest.build.branch = "topic";
        }
        manifest.run.id = make_uuid5(stemma_uuid_space, fmt::format("{} {}", seed, number));
        model::Step step;
        step.argv = {"cat"};
        for (int i = 0; i < 14; ++i) {
            if (random() % 5 == 0) {
                continue;
            }
            model::File file;
            file.path = fmt::format("src/{:02}", i);
            file.repo = "shop";
            file.sha256 = sha256(fmt::format("{} {}", i, random() % 8 == 0 ? random() % 3 : 0));
            file.state = random() % 9 == 0 ? model::FileState::untracked : model::FileState::clean;
            if (random() % 2 == 0) {
                step.inputs.push_back(static_cast<model::FileIndex>(manifest.files.size()));
            }
            manifest.files.push_back(file);
        }
        manifest.steps = {step};
        model::normalise(manifest);
        builds.push_back(std::move(manifest));
    }
    return builds;
}

void record(Store& store, const std::vector<model::Manifest>& builds)
{
    std::uint64_t oseq = 0;
    for (const auto& manifest : builds) {
        store.append(std::vector{
            said("ci",
                 ++oseq,
                 {at(1), "build.recorded", Json{{"manifest", model::to_json(manifest)}}})});
    }
}

std::int64_t row_of(sqlite::Database& db, const model::Manifest& manifest)
{
    auto row = db.prepare("SELECT id FROM build WHERE run = ?");
    row.bind(manifest.run.id);
    REQUIRE(row.step());
    return row.integer(0);
}

/// "path sha256 file state" of each file that a build uses, by the manifest.
std::multiset<std::string> uses_by_manifest(const model::Manifest& manifest)
{
    std::multiset<std::string> uses;
    for (std::size_t i = 0; i < manifest.files.size(); ++i) {
        const auto& file = manifest.files[i];
        uses.insert(fmt::format(
            "{} {} {} {}", file.path, file.sha256.hex(), i, static_cast<int>(file.state)));
    }
    return uses;
}

std::multiset<std::string> uses_by_store(sqlite::Database& db, std::int64_t build)
{
    auto rows = db.prepare(
        "SELECT e.path, lower(hex(c.sha256)), f.file, f.role FROM file_use f JOIN version v ON "
        "v.id "
        "= f.version JOIN element e ON e.id = v.element JOIN content c ON c.id = v.content WHERE "
        "f.build = ?");
    rows.bind(build);
    std::multiset<std::string> uses;
    while (rows.step()) {
        uses.insert(fmt::format(
            "{} {} {} {}", rows.view(0), rows.view(1), rows.integer(2), rows.integer(3)));
    }
    return uses;
}

} // namespace

TEST_CASE("files that come, change, go and come again are those of each build's manifest")
{
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
        Place place;
        auto store = place.open();
        const auto builds = changing_builds(seed);
        record(*store, builds);
        auto& db = store->impl().db;
        std::size_t files = 0;
        for (const auto& manifest : builds) {
            INFO("seed " << seed << ", run " << manifest.run.id);
            CHECK(uses_by_store(db, row_of(db, manifest)) == uses_by_manifest(manifest));
            files += manifest.files.size();
        }
        CHECK(db.integer("SELECT count(*) FROM file_use") == static_cast<std::int64_t>(files));
        CHECK(db.integer("SELECT count(DISTINCT line) FROM build") == 2);
        CHECK(verify(*store, thorough).findings.empty());
    }
}

TEST_CASE("files that stay cost a line nothing")
{
    Place place;
    auto store = place.open();
    auto builds = changing_builds(4);
    for (auto& manifest : builds) {
        manifest.build.branch = "main";
        manifest.files = builds.front().files;
        manifest.steps = builds.front().steps;
    }
    record(*store, builds);
    CHECK(store->impl().db.integer("SELECT count(*) FROM build_file") ==
          static_cast<std::int64_t>(builds.front().files.size()));
}

TEST_CASE("steps that are told against another build's are the build's own again")
{
    Place place;
    auto store = place.open();
    auto& db = store->impl().db;
    BuildGraph graph;
    graph.files.versions.resize(500);
    graph.files.roles.resize(500);
    for (model::FileIndex i = 0; i < 200; ++i) {
        graph.steps.push_back(
            {model::StepKind::compile, 0, std::nullopt, {i, i + 100, i + 200}, {}});
    }
    const auto whole = encode_steps(graph);
    const auto base = unpack_steps(whole);
    graph.steps[7].inputs = {3, 4, 5};
    const auto blob = encode_steps(graph, base);
    CHECK(blob.size() < whole.size());
    BuildGraph read;
    read.files = graph.files;
    decode_steps(blob, read, base);
    CHECK(read.steps.size() == graph.steps.size());
    CHECK(encode_steps(read) == encode_steps(graph));
    CHECK(error_of([&] { decode_steps(blob, read, base + "x"); })->code() == ErrorCode::corrupt);
    CHECK(error_of([&] { decode_steps(blob, read); })->code() == ErrorCode::corrupt);
    CHECK(error_of([&] { read_steps(db, 7, read); })->code() == ErrorCode::corrupt);
}
