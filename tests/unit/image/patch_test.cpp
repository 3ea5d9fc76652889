#include "stemma/image/delta.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "image_world.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

struct Golden : support::ImageWorld {
    fs::path raw = folder.path() / "golden.raw";
    image::Change golden;

    Golden()
    {
        const auto tree = folder.path() / "tree";
        support::make_system(tree);
        write_file(tree / "etc/list", "one\ntwo\nthree\nfour\nfive\nsix\n", 0640);
        support::make_ext(raw, tree);
        golden = image::import_image(world, "golden", file(raw));
    }
    std::string text(const std::string& name, const std::string& content)
    {
        write_file(folder.path() / name, content);
        return (folder.path() / name).string();
    }
    image::Change patch(const std::string& name,
                        std::vector<std::string> patches,
                        const std::string& base = "golden")
    {
        return image::patch(world,
                            {.base = named(base), .name = name, .patches = std::move(patches)});
    }
    std::string refusal(const std::string& diff)
    {
        const auto before = names();
        const auto error = support::error_of([&] { patch("x", {text("x.diff", diff)}); });
        CHECK(names() == before);
        return error ? error->message() + " / " + error->hint() : "";
    }
    std::string content(const std::string& name, const std::string& path)
    {
        return image::open_selected(named(name))->read_all(path, 1 << 20);
    }
    fs::path delta(const std::string& from, const std::string& to)
    {
        auto out = folder.path() / (from + "-" + to + ".delta");
        image::make_delta(named(from), named(to), out, cancel);
        return out;
    }
};

} // namespace

TEST_CASE("a version in which nothing changed is not its own parent")
{
    Golden golden;
    const auto same = golden.patch("same", {golden.delta("golden", "golden").string()});
    CHECK(same.image.digest == golden.golden.image.digest);
    CHECK_FALSE(same.image.parent.has_value());
    CHECK_FALSE(golden.named("same").recorded->parent.has_value());
}

TEST_CASE("patching with a block delta gives exactly the other image")
{
    Golden golden;
    const auto two = golden.patch("two",
                                  {golden.text("motd.diff",
                                               "--- /dev/null\n+++ b/etc/motd\n"
                                               "@@ -0,0 +1 @@\n+hello\n")});
    const auto three = golden.patch(
        "three",
        {golden.text("list.diff", "--- a/etc/list\n+++ b/etc/list\n@@ -1 +1 @@\n-one\n+1\n")},
        "two");
    const auto first = golden.delta("golden", "two").string();
    const auto second = golden.delta("two", "three").string();
    const auto both = golden.delta("golden", "three").string();
    const auto back = golden.delta("three", "golden").string();

    // A world that has the first image only.
    Golden other;
    REQUIRE(other.golden.image.digest != golden.golden.image.digest); // another file system id
    image::import_image(other.world, "base", other.file(golden.raw));
    CHECK(other.patch("a", {first}, "base").image.digest == two.image.digest);
    CHECK(other.patch("b", {second}, "a").image.digest == three.image.digest);
    CHECK(other.patch("c", {both}, "base").image.digest == three.image.digest);
    CHECK(other.patch("d", {first, second}, "base").image.digest == three.image.digest);
    CHECK(other.patch("e", {back}, "b").image.digest == golden.golden.image.digest);
    CHECK(other.content("c", "/etc/list").starts_with("1\ntwo\n"));
    CHECK(fs::file_size(both) < 64 * 1024);

    const auto names = other.names();
    const auto wrong = support::error_of([&] { other.patch("f", {second}, "base"); });
    REQUIRE(wrong.has_value());
    CHECK(wrong->code() == ErrorCode::corrupt);
    CHECK(wrong->message().find("is for the image") != std::string::npos);
    const auto mixed = support::error_of([&] {
        other.patch("g", {first, other.text("t.diff", "x\n")}, "base");
    });
    REQUIRE(mixed.has_value());
    CHECK(mixed->code() == ErrorCode::usage);
    CHECK(other.names() == names);
}

TEST_CASE("the delta of a later version reads only what was written since")
{
    Golden golden;
    golden.patch(
        "two",
        {golden.text("motd.diff", "--- /dev/null\n+++ b/etc/motd\n@@ -0,0 +1 @@\n+hello\n")});
    const auto quick = read_file(golden.delta("golden", "two"));
    // The same disk as a plain file shares nothing with its base: both are read whole.
    const auto flat = golden.folder.path() / "flat.qcow2";
    image::export_image(golden.world, golden.named("two"), flat, volume::ContainerFormat::qcow2);
    const auto out = golden.folder.path() / "slow.delta";
    image::make_delta(golden.named("golden"), golden.file(flat), out, golden.cancel);
    CHECK(read_file(out) == quick);
}

TEST_CASE("a change of text keeps what the file has besides content")
{
    Golden golden;
    const auto change = golden.patch(
        "p",
        {golden.text("p.diff",
                     "diff --git a/etc/list b/etc/list\nindex 1..2 100644\n"
                     "--- a/etc/list\n+++ b/etc/list\n"
                     "@@ -2,3 +2,4 @@ some words\n two\n-three\n+3\n+3.5\n four\n"
                     "@@ -6 +7 @@\n-six\n+six\n\\ No newline at end of file\n"
                     "--- a/etc/shop/shop.conf\n+++ /dev/null\n@@ -1 +0,0 @@\n-port = 7070\n"
                     "--- /dev/null\n+++ b/srv/new/file\n@@ -0,0 +1,2 @@\n+a\n+b\n")});
    CHECK(golden.content("p", "/etc/list") == "one\ntwo\n3\n3.5\nfour\nfive\nsix");
    const auto tree = image::open_selected(golden.named("p"));
    CHECK(tree->look("/etc/list")->mode == 0640);
    CHECK_FALSE(tree->look("/etc/shop/shop.conf").has_value());
    CHECK(tree->read_all("/srv/new/file", 10) == "a\nb\n");
    CHECK(change.image.installed[0]["files"].size() == 3);
}

TEST_CASE("a hunk is found where its lines have moved to, and nowhere else")
{
    Golden golden;
    golden.patch(
        "moved",
        {golden.text("a.diff", "--- etc/list\n+++ etc/list\n@@ -1,1 +1,3 @@\n+x\n+y\n one\n")});
    golden.patch("both",
                 {golden.text("b.diff", "--- etc/list\n+++ etc/list\n@@ -5 +5 @@\n-five\n+5\n")},
                 "moved");
    CHECK(golden.content("both", "/etc/list") == "x\ny\none\ntwo\nthree\nfour\n5\nsix\n");
    const auto at = [](const std::string& body) {
        return "--- a/etc/list\n+++ b/etc/list\n" + body;
    };
    CHECK(golden.refusal(at("@@ -1 +1 @@\n-ein\n+uno\n")).find("near line 1 are not there") !=
          std::string::npos);
    CHECK(golden.refusal(at("@@ -1 +1 @@\n-zero\n+one\n")).find("applied already") !=
          std::string::npos);
    CHECK(golden.refusal(at("@@ -1,2 +1 @@\n-one\n")).find("cut off") != std::string::npos);
    CHECK(golden.refusal(at("@@ -1 +1 @@\n-one\n-two\n")).find("other lines than its head") !=
          std::string::npos);
    CHECK(golden.refusal("--- a/../../x\n+++ b/../../x\n@@ -1 +1 @@\n-a\n+b\n")
              .find("leads out of the tree") != std::string::npos);
    CHECK(golden.refusal("just words\n").find("no unified comparison") != std::string::npos);
    CHECK(
        golden.refusal("diff --git a/x b/y\nrename from x\n").find("more than a change of text") !=
        std::string::npos);
    CHECK(golden.refusal("--- /dev/null\n+++ b/etc/list\n@@ -0,0 +1 @@\n+a\n")
              .find("is there in the image") != std::string::npos);
    CHECK(golden.refusal("--- a/etc/none\n+++ b/etc/none\n@@ -1 +1 @@\n-a\n+b\n")
              .find("is not there in the image") != std::string::npos);
    CHECK(golden.refusal("--- a/etc\n+++ b/etc\n@@ -1 +1 @@\n-a\n+b\n").find("is a directory") !=
          std::string::npos);
}

TEST_CASE("patches of all kinds go into one version")
{
    Golden golden;
    const auto debs = golden.folder.path() / "debs";
    fs::create_directory(debs);
    const auto deb =
        support::make_deb(debs, support::control_of("tool", "1"), {{"usr/bin/tool2", "tool"}});
    const auto inside = golden.folder.path() / "in";
    fs::create_directories(inside / "srv");
    write_file(inside / "srv/data", "data");
    const auto tar = golden.folder.path() / "odd name";
    run_checked({.argv = {"tar", "-C", inside.string(), "-cf", tar.string(), "srv"}});
    const auto diff = golden.text("d", "--- etc/list\n+++ etc/list\n@@ -1 +1 @@\n-one\n+eins\n");
    const auto change = image::patch(
        golden.world,
        {.base = golden.named("golden"),
         .name = "all",
         .patches = {diff, tar.string(), deb.string()},
         .files = {{.source = inside / "srv/data", .target = "/etc/motd", .mode = std::nullopt}}});
    CHECK(golden.content("all", "/usr/bin/tool2") == "tool");
    CHECK(golden.content("all", "/srv/data") == "data");
    CHECK(golden.content("all", "/etc/motd") == "data");
    CHECK(golden.content("all", "/etc/list").starts_with("eins\n"));
    CHECK(change.image.installed.size() == 4);
}
