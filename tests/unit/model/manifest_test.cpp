#include "stemma/core/error.hpp"
#include "stemma/model/manifest.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace stemma;
using namespace stemma::model;
using support::error_of;

namespace {

File make_file(std::string path, std::string_view content, FileState state)
{
    File file;
    file.path = std::move(path);
    file.repo = state == FileState::system ? "" : "shop";
    file.sha256 = sha256(content);
    file.size = content.size();
    file.state = state;
    if (state == FileState::clean) {
        file.blob = git_blob_id(content);
    }
    return file;
}

Manifest sample()
{
    Manifest manifest;
    manifest.build = {"shop",
                      "https://example.org/shop.git",
                      std::string(40, 'a'),
                      "main",
                      {"z", "b"},
                      "gcc-12 12.2.0"};
    manifest.files = {make_file("shopd", "program", FileState::generated),
                      make_file("src/price.cpp", "int price;", FileState::clean),
                      make_file("/usr/bin/cc", "compiler", FileState::system),
                      make_file("price.o", "object", FileState::generated),
                      make_file(std::string("odd \xff name"), "odd", FileState::untracked)};
    manifest.files[2].package = "pkg:deb/debian/gcc-12@12.2.0-14?arch=amd64";
    manifest.steps = {
        {StepKind::link, 2U, {"cc", "-o", "shopd", "price.o"}, ".", 0, "shopd", {3}, {0}},
        {StepKind::compile, 2U, {"cc", "-c", "\xfe"}, "build", 0, "", {1, 4}, {3}}};
    manifest.artifacts = {{0, "shopd", ArtifactKind::executable, "abcd", 0U, "shopd"},
                          {3, "price.o", ArtifactKind::object, std::nullopt, 1U, ""}};
    manifest.holes = {{12, "x", "uses io_uring"}};
    manifest.run = {"01a1fc2d-f8bf-713b-be59-08bfff2599df",
                    parse_time("2026-01-02T03:04:05Z"),
                    parse_time("2026-01-02T03:05:05Z"),
                    "vm",
                    "root",
                    "/src/shop"};
    normalise(manifest);
    return manifest;
}

} // namespace

TEST_CASE("a manifest survives being written and read")
{
    const auto manifest = sample();
    const auto text = canonical_json(to_json(manifest));
    const auto again = parse_manifest(text, "sample");
    CHECK(canonical_json(to_json(again)) == text);
    CHECK(again.files == manifest.files);
    CHECK_FALSE(again.complete());
}

TEST_CASE("the order in which files and steps were found does not show")
{
    const auto wanted = content_digest(sample());
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same shuffles in every run
    for (int round = 0; round < 50; ++round) {
        auto shuffled = sample();
        std::vector<FileIndex> place(shuffled.files.size());
        for (FileIndex i = 0; i < place.size(); ++i) {
            place[i] = i;
        }
        std::shuffle(place.begin(), place.end(), random);
        auto files = shuffled.files;
        for (FileIndex i = 0; i < place.size(); ++i) {
            files[place[i]] = shuffled.files[i];
        }
        shuffled.files = files;
        for (auto& step : shuffled.steps) {
            step.tool = place[*step.tool];
            for (auto* list : {&step.inputs, &step.outputs}) {
                for (auto& index : *list) {
                    index = place[index];
                }
            }
        }
        for (auto& artifact : shuffled.artifacts) {
            artifact.file = place[artifact.file];
        }
        std::swap(shuffled.steps[0], shuffled.steps[1]);
        for (auto& artifact : shuffled.artifacts) {
            artifact.step = 1 - *artifact.step;
        }
        normalise(shuffled);
        CHECK(content_digest(shuffled) == wanted);
    }
}

TEST_CASE("files that were listed twice become one")
{
    auto manifest = sample();
    manifest.files.push_back(manifest.files.front());
    manifest.steps.front().inputs.push_back(static_cast<FileIndex>(manifest.files.size() - 1));
    normalise(manifest);
    CHECK(manifest.files.size() == sample().files.size());
}

TEST_CASE("time and machine are in the manifest's digest and not in its content's")
{
    auto other = sample();
    other.run.machine = "another";
    other.run.finished += std::chrono::seconds(5);
    other.holes.front().pid = 99;
    CHECK(content_digest(other) == content_digest(sample()));
    CHECK(manifest_digest(other) != manifest_digest(sample()));
}

TEST_CASE("a manifest cut at any byte is refused")
{
    const auto text = canonical_json(to_json(sample()));
    for (std::size_t size = 0; size < text.size(); ++size) {
        CHECK(error_of([&] { parse_manifest(text.substr(0, size), "cut"); }));
    }
}

TEST_CASE("a mutated manifest is refused or read, and nothing else happens")
{
    const auto text = canonical_json(to_json(sample()));
    std::mt19937 random(11); // NOLINT(cert-msc51-cpp): the same mutations in every run
    std::size_t refused = 0;
    for (int round = 0; round < 10'000; ++round) {
        auto mutated = text;
        const auto times = 1 + random() % 4;
        for (std::size_t i = 0; i < times; ++i) {
            mutated[random() % mutated.size()] = static_cast<char>(random());
        }
        refused += error_of([&] { to_json(parse_manifest(mutated, "mutated")); }) ? 1U : 0U;
    }
    CHECK(refused > 5'000);
}

TEST_CASE("an index that names nothing is refused")
{
    for (const auto* path :
         {"/steps/0/inputs/0", "/steps/0/outputs/0", "/steps/0/tool", "/artifacts/0/file"}) {
        auto json = to_json(sample());
        json[Json::json_pointer(path)] = 5;
        CHECK(error_of([&] { manifest_from_json(json); })->code() == ErrorCode::corrupt);
        json[Json::json_pointer(path)] = -1;
        CHECK(error_of([&] { manifest_from_json(json); })->code() == ErrorCode::corrupt);
    }
}

TEST_CASE("a manifest that says complete and lists holes is refused")
{
    auto json = to_json(sample());
    json["complete"] = true;
    CHECK(error_of([&] { manifest_from_json(json); })->code() == ErrorCode::corrupt);
}

TEST_CASE("a newer schema is told apart from rubbish")
{
    auto json = to_json(sample());
    json["schema"] = "stemma.manifest/2";
    CHECK(error_of([&] { manifest_from_json(json); })->code() == ErrorCode::unsupported);
    json["schema"] = "something";
    CHECK(error_of([&] { manifest_from_json(json); })->code() == ErrorCode::corrupt);
}
