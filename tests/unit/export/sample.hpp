#pragma once

#include "stemma/core/text.hpp"
#include "stemma/model/manifest.hpp"

/// A small build for the tests of this folder.
namespace stemma::exporting::sample {

inline constexpr const char* repo = "https://example.org/shop.git";
inline constexpr const char* libc = "pkg:deb/debian/libc6-dev@2.36-9?arch=amd64";

inline model::File file(const std::string& path, model::FileState state)
{
    model::File made;
    made.path = path;
    made.repo = state == model::FileState::system ? "" : repo;
    made.sha256 = sha256("content of " + path);
    made.size = 11 + path.size();
    made.state = state;
    if (state != model::FileState::system) {
        made.blob = git_blob_id("content of " + path);
    }
    return made;
}

/// main.c + price.h + stdio.h → main.o; price.c + price.h → price.o → libprice.a;
/// main.o + libprice.a + libc.so → shopd; tool: gcc. A name that is not UTF-8 among the sources.
inline model::Manifest build()
{
    using model::FileState;
    model::Manifest manifest;
    manifest.build = {"shop", repo, std::string(40, '8'), "main", {"src/price.c"}, "GNU 12.2.0"};
    manifest.run = {"01941f29-7c00-7000-8000-000000000001",
                    parse_time("2026-01-02T03:04:05Z"),
                    parse_time("2026-01-02T03:04:06.5Z"),
                    "builder 1",
                    "ada",
                    "/src/shop"};
    manifest.files = {file("src/main.c", FileState::clean),            // 0
                      file("src/price.c", FileState::dirty),           // 1
                      file("include/pr\xe9is.h", FileState::clean),    // 2
                      file("build/main.o", FileState::generated),      // 3
                      file("build/price.o", FileState::generated),     // 4
                      file("build/libprice.a", FileState::generated),  // 5
                      file("build/shopd", FileState::generated),       // 6
                      file("/usr/include/stdio.h", FileState::system), // 7
                      file("/usr/lib/libc.so", FileState::system),     // 8
                      file("/usr/bin/gcc", FileState::system)};        // 9
    manifest.files[7].package = libc;
    manifest.files[8].package = libc;
    const auto step = [&](model::StepKind kind,
                          std::vector<model::FileIndex> inputs,
                          std::vector<model::FileIndex> outputs) {
        model::Step made;
        made.kind = kind;
        made.tool = 9;
        made.argv = {"gcc", "-o", manifest.files[outputs.front()].path, "a b"};
        made.cwd = "build";
        made.inputs = std::move(inputs);
        made.outputs = std::move(outputs);
        manifest.steps.push_back(std::move(made));
    };
    step(model::StepKind::compile, {0, 2, 7}, {3});
    step(model::StepKind::compile, {1, 2}, {4});
    step(model::StepKind::archive, {4}, {5});
    step(model::StepKind::link, {3, 5, 8}, {6});
    manifest.artifacts = {{3, "main.o", model::ArtifactKind::object, {}, 0, "shopd"},
                          {5, "libprice.a", model::ArtifactKind::archive, {}, 2, "price"},
                          {6, "shopd", model::ArtifactKind::executable, "a1b2c3", 3, "shopd"}};
    normalise(manifest);
    return manifest;
}

/// The event body of a package with the program, a source as it is, a folder and a stranger.
inline Json package()
{
    const auto entry = [](const char* path, const Json& digest, const char* link) {
        return Json{{"artifact", nullptr},
                    {"basis", ""},
                    {"link", link},
                    {"mode", "0644"},
                    {"path", path},
                    {"sha256", digest},
                    {"size", 1}};
    };
    Json payload =
        Json::array({entry("usr/bin/shopd", sha256("stripped").hex(), "build-id"),
                     entry("usr/share/main.c", sha256("content of src/main.c").hex(), "source"),
                     entry("usr/bin", nullptr, "unexplained"),
                     entry("usr/share/stranger", sha256("stranger").hex(), "unexplained")});
    payload[0]["artifact"] = sha256("content of build/shopd").hex();
    return {{"arch", "amd64"},
            {"build", "01941f29-7c00-7000-8000-000000000001"},
            {"file", "out/shop_1.0_amd64.deb"},
            {"name", "shop"},
            {"payload", std::move(payload)},
            {"purl", "pkg:deb/shop@1.0?arch=amd64"},
            {"sha256", sha256("deb").hex()},
            {"version", "1.0"}};
}

} // namespace stemma::exporting::sample
