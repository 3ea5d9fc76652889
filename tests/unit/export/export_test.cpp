#include "stemma/export/cyclonedx.hpp"
#include "stemma/export/omnibor.hpp"
#include "stemma/export/spdx.hpp"
#include "stemma/export/statement.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "sample.hpp"

using namespace stemma;
using namespace stemma::exporting;
using stemma::support::error_of;

namespace {

const Tool tool = {"stemma", "0"};

std::set<std::string> names_of(const std::vector<Deliverable>& list)
{
    std::set<std::string> names;
    for (const auto& deliverable : list) {
        names.insert(deliverable.name);
    }
    return names;
}

std::set<std::string> dependency_names(const Json& statement)
{
    std::set<std::string> names;
    for (const auto& dependency :
         statement["predicate"]["buildDefinition"]["resolvedDependencies"]) {
        names.insert(dependency["name"].get<std::string>());
    }
    return names;
}

/// Names for every content of the sample, whose contents are known.
ContentTable all_names(const model::Manifest& manifest)
{
    ContentTable table;
    for (const auto& file : manifest.files) {
        const auto content = "content of " + file.path;
        table.emplace(file.sha256,
                      ContentNames{gitoid_of(content), Sha1().update(content).finish_hex()});
    }
    return table;
}

} // namespace

TEST_CASE("what nothing else swallowed is a deliverable; others are by name")
{
    const auto manifest = sample::build();
    CHECK(names_of(deliverables(manifest)) == std::set<std::string>{"shopd"});
    CHECK(names_of(deliverables_named(manifest, "libprice.a")) ==
          std::set<std::string>{"libprice.a"});
    CHECK(names_of(deliverables_named(manifest, "shopd")) == std::set<std::string>{"shopd"});
    CHECK(names_of(deliverables_named(manifest, "main.o")) == std::set<std::string>{"main.o"});
    CHECK(names_of(deliverables_named(manifest, "price")) ==
          std::set<std::string>{"libprice.a"}); // by its target
    CHECK(names_of(deliverables_named(manifest, "a1b2c3")) == std::set<std::string>{"shopd"});
    const auto digest = sha256("content of build/libprice.a").hex();
    CHECK(deliverables_named(manifest, digest.substr(0, 8)).size() == 1);
    CHECK(deliverables_named(manifest, digest.substr(0, 7)).empty());
}

TEST_CASE("what was staged on the way into a package, copied or never recorded is left out")
{
    auto manifest = sample::build();
    const auto add = [&](const std::string& path, const char* content, model::ArtifactKind kind) {
        auto file = sample::file(path, model::FileState::generated);
        file.sha256 = sha256(content);
        manifest.files.push_back(file);
        const auto index = static_cast<model::FileIndex>(manifest.files.size() - 1);
        manifest.artifacts.push_back(
            {index, path.substr(path.rfind('/') + 1), kind, {}, std::nullopt, ""});
        return index;
    };
    model::Step pack;
    pack.kind = model::StepKind::pack;
    pack.outputs = {add("b/stage/usr/bin/shopd", "stripped", model::ArtifactKind::executable),
                    add("b/stage/data.tar.gz", "data", model::ArtifactKind::package),
                    add("b/stage/shop.deb", "deb", model::ArtifactKind::package),
                    add("b/shop.deb", "deb", model::ArtifactKind::package)};
    manifest.steps.push_back(pack);
    add("b/older", "older", model::ArtifactKind::executable);
    normalise(manifest);
    const auto list = deliverables(manifest);
    REQUIRE(list.size() == 2);
    CHECK(names_of(list) == std::set<std::string>{"shop.deb", "shopd"});
    for (const auto& deliverable : list) {
        const auto& path = manifest.files[deliverable.roots.at(0)].path;
        CHECK((path == "b/shop.deb" || path == "build/shopd"));
    }
    CHECK(deliverables_named(manifest, "older").size() == 1);
}

TEST_CASE("a statement depends on what was read and not made, and on nothing else")
{
    const auto manifest = sample::build();
    const auto statement =
        slsa_statement(manifest, deliverables_named(manifest, "libprice.a").at(0), tool);
    CHECK(
        dependency_names(statement) ==
        std::set<std::string>{sample::repo, "src/price.c", "include/pr\\xe9is.h", "/usr/bin/gcc"});
    CHECK(statement["predicate"]["buildDefinition"]["internalParameters"]["steps"].size() == 2);
}

TEST_CASE("only what the commit holds claims to be found in it")
{
    const auto manifest = sample::build();
    const auto statement = slsa_statement(manifest, deliverables(manifest).at(0), tool);
    for (const auto& entry : statement["predicate"]["buildDefinition"]["resolvedDependencies"]) {
        const auto uri = entry.value("uri", "");
        if (entry["name"] == "src/main.c") {
            CHECK(uri ==
                  "git+https://example.org/shop.git@" + std::string(40, '8') + "#src/main.c");
        } else if (entry["name"] == "src/price.c") {
            CHECK(uri.empty()); // dirty
            CHECK(entry["annotations"]["state"] == "dirty");
        } else if (entry["name"] == "/usr/include/stdio.h") {
            CHECK(uri == std::string(sample::libc) + "#usr/include/stdio.h");
        } else if (entry["name"] == "include/pr\\xe9is.h") {
            CHECK(uri.ends_with("#include/pr%E9is.h"));
        }
    }
}

TEST_CASE("the same manifest gives the same bytes in every format, in any order of its lists")
{
    const auto manifest = sample::build();
    auto shuffled = manifest;
    std::reverse(shuffled.artifacts.begin(), shuffled.artifacts.end());
    normalise(shuffled);
    const auto names = all_names(manifest);
    const auto list = deliverables(manifest);
    const auto other = deliverables(shuffled);
    CHECK(slsa_statement(manifest, list.at(0), tool) ==
          slsa_statement(shuffled, other.at(0), tool));
    CHECK(spdx_document(manifest, list, names, tool).dump() ==
          spdx_document(shuffled, other, names, tool).dump());
    CHECK(cyclonedx_bom(manifest, list, names, tool).dump() ==
          cyclonedx_bom(shuffled, other, names, tool).dump());
}

TEST_CASE("a hole in the build is told in every format")
{
    auto manifest = sample::build();
    manifest.holes.push_back({7, "go", "static\xff"});
    const auto list = deliverables(manifest);
    const auto statement = slsa_statement(manifest, list.at(0), tool);
    CHECK_FALSE(statement["predicate"]["runDetails"]["metadata"]["stemma_complete"].get<bool>());
    CHECK(canonical_json(statement).find("static") != std::string::npos);
    CHECK(spdx_document(manifest, list, {}, tool)["comment"].get<std::string>().find("static") !=
          std::string::npos);
    const auto bom = cyclonedx_bom(manifest, list, {}, tool);
    CHECK(bom["compositions"][0]["aggregate"] == "incomplete");
    CHECK(canonical_json(bom).find("static") != std::string::npos);
}

TEST_CASE("a package is followed through its payload to the sources")
{
    const auto manifest = sample::build();
    const auto package = package_deliverable(manifest, sample::package());
    CHECK(package.name == "shop_1.0_amd64.deb");
    REQUIRE(package.contents.size() == 4);
    const auto statement = slsa_statement(manifest, package, tool);
    CHECK(statement["subject"][0]["uri"] == "pkg:deb/shop@1.0?arch=amd64");
    CHECK(dependency_names(statement).contains("src/price.c"));
    const auto document = spdx_document(manifest, std::span(&package, 1), {}, tool);
    std::set<std::string> kinds;
    for (const auto& relationship : document["relationships"]) {
        kinds.insert(relationship["relationshipType"].get<std::string>());
    }
    CHECK(kinds == std::set<std::string>{"BUILD_DEPENDENCY_OF",
                                         "BUILD_TOOL_OF",
                                         "CONTAINS",
                                         "COPY_OF",
                                         "DESCRIBES",
                                         "GENERATED_FROM"});
    const auto bom = cyclonedx_bom(manifest, std::span(&package, 1), {}, tool);
    CHECK(bom["metadata"]["component"]["components"].size() == 3); // the folder has no content
}

TEST_CASE("a package body of other types is refused")
{
    const auto manifest = sample::build();
    for (const auto* key : {"sha256", "payload"}) {
        for (const auto& bad : {Json(nullptr), Json(7), Json("x"), Json::object()}) {
            auto body = sample::package();
            body[key] = bad;
            INFO(key << " " << bad);
            CHECK(error_of([&] { package_deliverable(manifest, body); }));
        }
    }
}

TEST_CASE("an input manifest is written only when every input is known")
{
    const auto manifest = sample::build();
    const auto list = deliverables(manifest);
    auto names = all_names(manifest);
    CHECK(omnibor_manifests(manifest, list, names).manifests.size() == 4);
    CHECK(omnibor_manifests(manifest, list, names).missing.empty());
    names.erase(sha256("content of src/price.c"));
    const auto partial = omnibor_manifests(manifest, list, names);
    REQUIRE(partial.manifests.size() == 1);
    CHECK(partial.manifests[0].name == "build/main.o");
    REQUIRE(partial.missing.size() == 1);
    CHECK(manifest.files[partial.missing[0].file].path == "src/price.c");
    CHECK(omnibor_manifests(manifest, list, {}).manifests.empty());
}

TEST_CASE("a file changed in place and a step that reads its own output end")
{
    auto manifest = sample::build();
    // shopd ← strip ← shopd, and two files that are made of each other.
    for (auto& step : manifest.steps) {
        step.inputs.insert(step.inputs.end(), step.outputs.begin(), step.outputs.end());
    }
    std::swap(manifest.steps[0].inputs, manifest.steps[1].inputs);
    normalise(manifest);
    const auto list = deliverables_named(manifest, "shopd");
    REQUIRE_FALSE(list.empty());
    CHECK_FALSE(spdx_document(manifest, list, {}, tool)["packages"].empty());
    CHECK_FALSE(cyclonedx_bom(manifest, list, {}, tool)["formulation"].empty());
    omnibor_manifests(manifest, list, all_names(manifest));
}
