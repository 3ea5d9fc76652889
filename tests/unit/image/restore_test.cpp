#include "stemma/image/diff.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "image_world.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

struct Golden : support::ImageWorld {
    fs::path inside = folder.path() / "in";

    Golden()
    {
        const auto tree = folder.path() / "tree";
        support::make_system(tree);
        support::make_ext(folder.path() / "golden.raw", tree);
        image::import_image(world, "golden", file(folder.path() / "golden.raw"));
        fs::create_directory(inside);
    }
    std::string tar(const std::string& name)
    {
        const auto path = folder.path() / name;
        run_checked({.argv = {"tar",
                              "-C",
                              inside.string(),
                              "--owner=0",
                              "--group=0",
                              "--mtime=@1600000000",
                              "-cf",
                              path.string(),
                              "."}});
        return path.string();
    }
    image::Change
    put_tar(const std::string& name, const std::string& archive, const std::string& base = "golden")
    {
        return image::install(world, {.base = named(base), .name = name, .tars = {archive}});
    }
    image::Change put_file(const std::string& name,
                           const std::string& content,
                           const std::string& target,
                           const std::string& base)
    {
        const auto source = folder.path() / "source";
        write_file(source, content);
        return image::install(
            world,
            {.base = named(base),
             .name = name,
             .files = {{.source = source, .target = target, .mode = std::nullopt}}});
    }
    /// What is different, times of files included.
    std::vector<std::string> differences(const std::string& a, const std::string& b)
    {
        const auto before = image::open_selected(named(a));
        const auto after = image::open_selected(named(b));
        std::vector<std::string> names;
        for (const auto& each :
             image::compare_trees(*before, *after, {.modified_times = true}, cancel).differences) {
            names.push_back(each.name);
        }
        return names;
    }
    std::string content(const std::string& name, const std::string& path)
    {
        return image::open_selected(named(name))->read_all(path, 1 << 20);
    }
};

} // namespace

TEST_CASE("removing an archive restores what it replaced, and takes its own folders along")
{
    Golden golden;
    fs::create_directories(golden.inside / "etc/shop");
    fs::create_directories(golden.inside / "srv/deep/er");
    fs::create_directories(golden.inside / "srv/empty");
    write_file(golden.inside / "etc/shop/shop.conf", "port = 1\n", 0600);
    write_file(golden.inside / "srv/deep/er/data", "data");
    fs::create_hard_link(golden.inside / "srv/deep/er/data", golden.inside / "srv/same");
    fs::create_directories(golden.inside / "usr/bin");
    write_file(golden.inside / "usr/bin/tool", "another tool");
    write_file(golden.inside / "slow-link", "was a link");
    write_file(golden.inside / std::string("odd \n\xff name"), "replaced");
    golden.put_tar("with", golden.tar("files.tar"));
    REQUIRE(golden.content("with", "/slow-link") == "was a link");
    golden.put_file("later", "x", "/etc/later", "with");
    image::remove(golden.world,
                  {.base = golden.named("later"), .name = "without", .tars = {"files.tar"}});
    CHECK(golden.differences("golden", "without") == std::vector<std::string>{"/etc/later"});
    const auto tree = image::open_selected(golden.named("without"));
    CHECK(tree->look("/usr/bin/tool")->inode == tree->look("/usr/bin/same")->inode);
    CHECK(tree->look("/usr/bin/tool")->links == 2);
    const auto flat = golden.folder.path() / "flat.raw";
    image::export_image(golden.world, golden.named("without"), flat, volume::ContainerFormat::raw);
    CHECK(support::is_clean(flat));
}

TEST_CASE("an archive whose files were changed since is not removed, and they are named")
{
    Golden golden;
    write_file(golden.inside / "one", "1");
    write_file(golden.inside / "two", "2");
    golden.put_tar("with", golden.tar("files.tar"));
    golden.put_file("changed", "other", "/two", "with");
    const auto names = golden.names();
    const auto error = support::error_of([&] {
        image::remove(golden.world,
                      {.base = golden.named("changed"), .name = "x", .tars = {"files.tar"}});
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::conflict);
    CHECK(error->message().find("/two") != std::string::npos);
    CHECK(error->message().find("/one") == std::string::npos);
    CHECK(golden.names() == names);
    const auto unknown = support::error_of([&] {
        image::remove(golden.world,
                      {.base = golden.named("changed"), .name = "x", .tars = {"other.tar"}});
    });
    REQUIRE(unknown.has_value());
    CHECK(unknown->code() == ErrorCode::not_found);
}

TEST_CASE("removing a file that an install put gives back the one before")
{
    Golden golden;
    golden.put_file("one", "first", "/etc/shop/shop.conf", "golden");
    golden.put_file("two", "new", "/srv/a/b", "one");
    image::remove(golden.world,
                  {.base = golden.named("two"),
                   .name = "back",
                   .files = {"/etc/shop/shop.conf", "/srv/a/b"}});
    CHECK(golden.differences("golden", "back").empty());
    // One that nobody put just goes.
    image::remove(golden.world,
                  {.base = golden.named("back"), .name = "less", .files = {"/etc/shop/shop.conf"}});
    CHECK(golden.differences("golden", "less") == std::vector<std::string>{"/etc/shop/shop.conf"});
}

TEST_CASE("what was put twice is taken out twice, each time to what was before, and not a third")
{
    Golden golden;
    golden.put_file("one", "first", "/etc/shop/shop.conf", "golden");
    golden.put_file("two", "second", "/etc/shop/shop.conf", "one");
    const auto less = [&](const std::string& base, const std::string& name) {
        image::remove(golden.world,
                      {.base = golden.named(base), .name = name, .files = {"/etc/shop/shop.conf"}});
    };
    less("two", "back-one");
    CHECK(golden.content("back-one", "/etc/shop/shop.conf") == "first");
    less("back-one", "back-golden");
    CHECK(golden.differences("golden", "back-golden").empty());

    write_file(golden.inside / "added", "1");
    golden.put_tar("with", golden.tar("files.tar"));
    const auto without = [&](const std::string& base, const std::string& name) {
        image::remove(golden.world,
                      {.base = golden.named(base), .name = name, .tars = {"files.tar"}});
    };
    without("with", "without");
    const auto again = support::error_of([&] { without("without", "x"); });
    REQUIRE(again.has_value());
    CHECK(again->code() == ErrorCode::not_found);
    golden.put_tar("with-again", golden.tar("files.tar"), "without");
    without("with-again", "without-again");
    CHECK(golden.differences("golden", "without-again").empty());
}

TEST_CASE("a tarball keeps capabilities, attributes, large owners, special modes and old times")
{
    Golden golden;
    const auto tar = golden.folder.path() / "pax.tar";
    // A capability is a binary attribute: cap_net_raw, permitted and effective.
    const std::string script = R"(
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as tar:
    def add(name, **more):
        info = tarfile.TarInfo(name)
        headers = {}
        for key, value in more.items():
            if key == "pax": headers.update(value)
            else: setattr(info, key, value)
        info.pax_headers = headers
        info.size = 1 if info.type == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(b"x"))
    add("ping", mode=0o755, pax={"SCHILY.xattr.security.capability":
        "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        "SCHILY.xattr.user.note": "hello"})
    add("large", mode=0o6755, uid=3000000000, gid=3000000001)
    add("old", mode=0o600, mtime=-315619200)
    add("late", mode=0o600, mtime=4102444800)
    add("folder", type=tarfile.DIRTYPE, mode=0o3770, uid=70000)
    add("folder/fifo", type=tarfile.FIFOTYPE, mode=0o622)
)";
    run_checked({.argv = {"python3", "-c", script, tar.string()}});
    golden.put_tar("t", tar.string());
    const auto tree = image::open_selected(golden.named("t"));
    const std::string capability(
        "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
    CHECK(tree->extended_attributes("/ping") ==
          std::map<std::string, std::string>{{"security.capability", capability},
                                             {"user.note", "hello"}});
    CHECK(tree->look("/large")->uid == 3000000000U);
    CHECK(tree->look("/large")->gid == 3000000001U);
    CHECK(tree->look("/large")->mode == 06755);
    CHECK(format_time(tree->look("/old")->modified).starts_with("1960-01-01T00:00:00"));
    CHECK(format_time(tree->look("/late")->modified).starts_with("2100-01-01T00:00:00"));
    CHECK(tree->look("/folder")->mode == 03770);
    CHECK(tree->look("/folder")->uid == 70000);
    CHECK(tree->look("/folder/fifo")->kind == volume::NodeKind::fifo);
    const auto flat = golden.folder.path() / "flat.raw";
    image::export_image(golden.world, golden.named("t"), flat, volume::ContainerFormat::raw);
    CHECK(support::is_clean(flat));
    // The kernel's own word for it.
    CHECK(support::debugfs(flat, "ea_list /ping").find("security.capability (20)") !=
          std::string::npos);
    image::remove(golden.world, {.base = golden.named("t"), .name = "u", .tars = {"pax.tar"}});
    CHECK(golden.differences("golden", "u").empty());
}
