#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "store/reach.hpp"

using namespace stemma;
using namespace stemma::lineage;
using stemma::support::error_of;

namespace {

/// Files 0 and 1 make 2, 1 and 3 make 4, 2 and 4 make 5; tool 6 makes 2.
BuildGraph diamond()
{
    BuildGraph graph;
    graph.files.versions = {10, 11, 12, 9, 14, 15, 1};
    graph.files.roles.assign(7, FileRole(model::FileState::clean));
    graph.steps = {{model::StepKind::compile, 0, 6, {0, 1}, {2}},
                   {model::StepKind::generate, 0, std::nullopt, {1, 3}, {4}},
                   {model::StepKind::link, 1, std::nullopt, {2, 4}, {5}}};
    graph.mark_made();
    return graph;
}

std::vector<model::FileIndex> into(const Reach& reach, std::uint32_t position)
{
    std::vector<model::FileIndex> files;
    const std::vector<std::uint32_t> positions{position};
    const auto classes = reach.classes_into(positions);
    for (model::FileIndex file = 0; file < reach.class_of.size(); ++file) {
        if (classes[reach.class_of[file]]) {
            files.push_back(file);
        }
    }
    return files;
}

} // namespace

TEST_CASE("what leaves a build knows every file that goes into it")
{
    const auto reach = make_reach(diamond(), {{4, 104}, {5, 105}}, {{3, 103}});
    CHECK(into(reach, 0) == std::vector<model::FileIndex>{1, 3, 4});
    CHECK(into(reach, 1) == std::vector<model::FileIndex>{0, 1, 2, 3, 4, 5, 6});
    CHECK(reach.outlets_of(0).size() == 1);
    CHECK(reach.outlets_of(1).size() == 2);
    CHECK(reach.outlets_of(99).empty());
    CHECK(reach.outlet_at(5) == 1U);
    CHECK(!reach.outlet_at(2));
    CHECK(reach.is_inlet(3));
    CHECK(!reach.is_inlet(4));
}

TEST_CASE("a build's reach, files and steps are read as they were written")
{
    const auto graph = diamond();
    const auto reach = make_reach(graph, {{4, 104}, {5, 55}}, {{3, 103}});
    const auto again = decode_reach(encode(reach));
    CHECK(again.outlets == reach.outlets);
    CHECK(again.inlets == reach.inlets);
    CHECK(again.classes == reach.classes);
    CHECK(again.class_of == reach.class_of);
    BuildGraph read;
    read.files = decode_files(encode_files(graph.files));
    CHECK(read.files.versions == graph.files.versions);
    decode_steps(encode_steps(graph), read);
    REQUIRE(read.steps.size() == graph.steps.size());
    for (std::size_t i = 0; i < read.steps.size(); ++i) {
        CHECK(read.steps[i].kind == graph.steps[i].kind);
        CHECK(read.steps[i].exit == graph.steps[i].exit);
        CHECK(read.steps[i].tool == graph.steps[i].tool);
        CHECK(read.steps[i].inputs == graph.steps[i].inputs);
        CHECK(read.steps[i].outputs == graph.steps[i].outputs);
    }
    CHECK(read.files.roles[2].made());
    CHECK(!read.files.roles[2].generated());
    CHECK(read.files.roles[4].generated());
}

TEST_CASE("blobs of a build that are cut at any byte are refused")
{
    const auto graph = diamond();
    const auto files = encode_files(graph.files);
    const auto steps = encode_steps(graph);
    const auto reach = encode(make_reach(graph, {{4, 104}, {5, 55}}, {{3, 103}}));
    for (std::size_t size = 0; size < files.size(); ++size) {
        CHECK(error_of([&] { decode_files(std::string_view(files).substr(0, size)); }));
    }
    for (std::size_t size = 0; size < reach.size(); ++size) {
        CHECK(error_of([&] { decode_reach(std::string_view(reach).substr(0, size)); }));
    }
    for (std::size_t size = 0; size < steps.size(); ++size) {
        BuildGraph read;
        read.files = graph.files;
        CHECK(error_of([&] { decode_steps(std::string_view(steps).substr(0, size), read); }));
    }
}
