#include "stemma/image/inspect.hpp"
#include "stemma/lineage/query.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "image_world.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

/// An image with a real program in it, which a package that somebody recorded carries too.
struct Golden : support::ImageWorld {
    fs::path tree = folder.path() / "tree";
    fs::path raw = folder.path() / "found.raw";
    std::string program = read_file("/bin/sh");
    std::string build_id;

    Golden()
    {
        support::make_system(tree);
        write_file(tree / "usr/bin/program", program, 0755);
        support::make_ext(raw, tree);
        const auto words = run({.argv = {"readelf", "-n", "/bin/sh"}}).out;
        const auto at = words.find("Build ID: ");
        build_id = at == std::string::npos ? "" : words.substr(at + 10, 40);
    }
    void record_package()
    {
        store->record({.at = clock.now(),
                       .kind = "package.packed",
                       .body = {{"purl", "pkg:deb/test/tool@1?arch=amd64"},
                                {"name", "tool"},
                                {"version", "1"},
                                {"arch", "amd64"},
                                {"sha256", sha256("the package").hex()},
                                {"file", "tool.deb"},
                                {"build", nullptr},
                                {"payload",
                                 {{{"path", "/opt/tool"},
                                   {"sha256", sha256(program).hex()},
                                   {"mode", "0755"},
                                   {"size", program.size()},
                                   {"link", "unexplained"},
                                   {"artifact", nullptr},
                                   {"basis", nullptr}}}}}});
    }
    image::Inspection inspect()
    {
        return image::inspect(store.get(), *image::open_selected(file(raw)), {}, cancel);
    }
};

} // namespace

TEST_CASE("an image that nobody recorded is told by its system, packages, contents and notes")
{
    Golden golden;
    golden.record_package();
    const auto found = golden.inspect();
    CHECK(found.os == "Test 1");
    CHECK(found.packages.size() == 4);
    REQUIRE(found.known.size() == 1);
    CHECK(found.known[0].path == "/usr/bin/program");
    CHECK(found.known[0].basis == "content");
    CHECK(found.known[0].kind == "payload");
    CHECK(found.known[0].name == "/opt/tool");
    CHECK(found.known[0].build_id == golden.build_id);
    CHECK(found.programs == (golden.build_id.empty() ? 0 : 1));
    CHECK_FALSE(found.parent.has_value());
    CHECK(found.damage.empty());
}

TEST_CASE("the recorded image with nearly the same packages is named as the likely parent")
{
    Golden golden;
    image::import_image(golden.world, "origin", golden.file(golden.raw));
    const auto debs = golden.folder.path() / "debs";
    fs::create_directory(debs);
    const auto deb =
        support::make_deb(debs, support::control_of("more", "1"), {{"usr/bin/more2", "x"}});
    image::install(golden.world,
                   {.base = golden.named("origin"), .name = "later", .debs = {deb.string()}});
    const auto tree = image::open_selected(golden.named("later"));
    Golden other;
    image::import_image(other.world, "origin", other.file(golden.raw));
    const auto found = image::inspect(other.store.get(), *tree, {}, other.cancel);
    REQUIRE(found.parent.has_value());
    CHECK(found.parent->name == "origin");
    CHECK(found.parent->share == Approx(0.8));
    const auto origin = other.named("origin");
    const auto itself = image::inspect(
        other.store.get(), *image::open_selected(origin), origin.recorded->digest, other.cancel);
    CHECK_FALSE(itself.parent.has_value());
}

TEST_CASE("what was found is recorded as inferred, and never over what was told")
{
    Golden golden;
    golden.record_package();
    const auto change =
        image::import_inspected(golden.world, "found", golden.file(golden.raw), golden.inspect());
    REQUIRE(change.image.installed.size() == 1);
    CHECK(change.image.installed[0]["kind"] == "found");
    CHECK(golden.store->image_content(change.image.digest, "/usr/bin/program") ==
          sha256(golden.program).hex());
    const auto again = support::error_of([&] {
        image::import_inspected(golden.world, "again", golden.file(golden.raw), golden.inspect());
    });
    REQUIRE(again.has_value());
    CHECK(again->code() == ErrorCode::conflict);
}

TEST_CASE("an ELF file cut or bent anywhere is read without harm")
{
    Golden golden;
    const auto bent = golden.folder.path() / "bent";
    fs::create_directory(bent);
    for (std::size_t i = 0; i < 300; ++i) {
        auto content = golden.program.substr(0, 4096);
        content[i % 128] = static_cast<char>(content[i % 128] ^ (1 << (i % 8)));
        content[24 + i] = '\xff';
        write_file(bent / std::to_string(i), content.substr(0, 64 + i * 13));
    }
    const auto tree = volume::open_folder(bent.string());
    const auto found = image::inspect(nullptr, *tree, {}, golden.cancel);
    CHECK(found.files == 300);
    CHECK(found.damage.empty());
}
