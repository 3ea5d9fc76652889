#include "stemma/image/diff.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "image_world.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

/// A world with one image, "golden".
struct Golden : support::ImageWorld {
    fs::path tree = folder.path() / "tree";
    fs::path raw = folder.path() / "golden.raw";
    fs::path debs = folder.path() / "debs";
    image::Change imported;

    Golden()
    {
        support::make_system(tree);
        support::make_ext(raw, tree);
        fs::create_directory(debs);
        imported = image::import_image(world, "golden", file(raw));
    }

    std::string deb(const std::string& control,
                    const std::map<std::string, std::string>& files,
                    const std::map<std::string, std::string>& scripts = {})
    {
        return support::make_deb(debs, control, files, scripts).string();
    }
    std::string shop(const std::string& version = "1.0",
                     const std::string& more = "Depends: libc6 (>= 2.34)\n")
    {
        return deb(support::control_of("shop", version, more),
                   {{"usr/bin/shopd", "program " + version},
                    {"lib/systemd/system/shop.service", "[Unit]\n"},
                    {"etc/shop.conf", "port = 1\n"}},
                   {{"conffiles", "/etc/shop.conf\n"}});
    }
    image::Change install(const std::string& name,
                          std::vector<std::string> files,
                          const std::string& base = "golden")
    {
        return image::install(world, {.base = named(base), .name = name, .debs = std::move(files)});
    }
    std::string refusal(std::vector<std::string> files, const std::string& base = "golden")
    {
        const auto before = names();
        const auto error = support::error_of([&] { install("refused", std::move(files), base); });
        CHECK(names() == before); // nothing is left behind
        return error ? error->message() : "";
    }
    std::unique_ptr<volume::Filesystem> open(const std::string& name)
    {
        return image::open_selected(named(name));
    }
};

std::string dpkg(const fs::path& root, std::vector<std::string> words)
{
    words.insert(words.begin(), {"dpkg", "--root=" + root.string()});
    const auto result = run({.argv = words});
    return result.out + result.err;
}

} // namespace

TEST_CASE("the digest of an image is the sha256 of its virtual disk")
{
    Golden golden;
    CHECK(golden.imported.image.digest == sha256_file(golden.raw).hex());
    const auto change = golden.install("shop-1", {golden.shop()});
    const auto flat = golden.folder.path() / "flat.raw";
    image::export_image(golden.world, golden.named("shop-1"), flat, volume::ContainerFormat::raw);
    CHECK(change.image.digest == sha256_file(flat).hex());
    CHECK(change.image.parent == golden.imported.image.digest);
}

TEST_CASE("an installed package is whole for dpkg")
{
    Golden golden;
    const auto change = golden.install("shop-1", {golden.shop()});
    const auto root = golden.unpacked("shop-1");
    CHECK(dpkg(root, {"--audit"}).empty());
    CHECK(dpkg(root, {"--verify", "shop"}).empty());
    CHECK(dpkg(root, {"-s", "shop"}).find("Status: install ok installed") != std::string::npos);
    CHECK(dpkg(root, {"-L", "shop"}).find("/usr/bin/shopd\n") != std::string::npos);
    CHECK(dpkg(root, {"-S", "/etc/shop.conf"}).find("shop: /etc/shop.conf") == 0);
    CHECK(fs::is_symlink(root / "lib")); // the merge of /usr survived
    CHECK(read_file(root / "usr/lib/systemd/system/shop.service") == "[Unit]\n");
    REQUIRE(change.image.installed.size() == 1);
    CHECK(change.image.installed[0]["purl"] == "pkg:deb/test/shop@1.0?arch=amd64");
    CHECK(change.image.packages.size() == 5);
}

TEST_CASE("the same install twice gives the same image, from another base folder too")
{
    Golden golden;
    const auto deb = golden.shop();
    const auto first = golden.install("shop-1", {deb});
    const auto names = golden.names();
    golden.clock.advance(std::chrono::hours(1000));
    const auto second = golden.install("shop-1", {deb});
    CHECK(second.existed);
    CHECK(second.image.digest == first.image.digest);
    CHECK(golden.names() == names);
    const auto renamed = golden.install("shop-also", {deb});
    CHECK_FALSE(renamed.existed);
    CHECK(renamed.image.digest == first.image.digest);
    golden.world.epoch = parse_time("2030-01-01T00:00:00Z");
    const auto dated = golden.install("shop-1", {deb});
    CHECK(dated.image.digest != first.image.digest);
}

TEST_CASE("what dpkg would refuse is refused, with the reason, and nothing is left behind")
{
    Golden golden;
    const auto refused = [&](const std::string& control,
                             const std::map<std::string, std::string>& files,
                             const std::map<std::string, std::string>& scripts = {}) {
        return golden.refusal({golden.deb(control, files, scripts)});
    };
    using support::control_of;
    CHECK(refused(control_of("a", "1", "", "arm64"), {})
              .find("it is for arm64, the image is for amd64") != std::string::npos);
    CHECK(refused(control_of("b", "1", "Depends: libc6 (>= 3)\n"), {})
              .find("it needs libc6 (>= 3)") != std::string::npos);
    CHECK(refused(control_of("c", "1", "Depends: nowhere | nothing\n"), {})
              .find("nowhere | nothing") != std::string::npos);
    CHECK(refused(control_of("d", "1", "Conflicts: editor (<< 3)\n"), {})
              .find("it conflicts with editor (<< 3)") != std::string::npos);
    CHECK(refused(control_of("editor-breaker", "1"), {})
              .find("editor, which is in the image, conflicts") != std::string::npos);
    CHECK(refused(control_of("e", "1"), {{"usr/bin/editor", "x"}})
              .find("/usr/bin/editor belongs to editor") != std::string::npos);
    CHECK(refused(control_of("f", "1"), {{"usr/bin/diverted", "x"}})
              .find("diverted to /usr/bin/diverted.real by other") != std::string::npos);
    CHECK(refused(control_of("g", "1"), {{"etc/os-release/x", "x"}}).find("not a folder") !=
          std::string::npos);
    CHECK(refused(control_of("h", "1"), {{"etc/shop", "x"}}).find("is a folder") !=
          std::string::npos);
    CHECK(refused(control_of("i", "1"), {}, {{"preinst", "#!/bin/sh\nadduser i\n"}})
              .find("its preinst script would run \"adduser i\"") != std::string::npos);
    CHECK(refused(
              control_of("j", "1"), {{"etc/os-release", "x"}}, {{"conffiles", "/etc/os-release\n"}})
              .find("configuration file /etc/os-release") != std::string::npos);
}

TEST_CASE("packages that need each other go in together, in order")
{
    Golden golden;
    const auto program = golden.deb(
        support::control_of("z-program", "1", "Depends: a-library (= 1)\n"), {{"usr/bin/z", "z"}});
    const auto library =
        golden.deb(support::control_of("a-library", "1", "Provides: lib-virtual (= 7)\n"),
                   {{"usr/lib/a", "a"}});
    const auto user = golden.deb(
        support::control_of("b-user", "1", "Depends: lib-virtual (>= 5)\n"), {{"usr/bin/b", "b"}});
    CHECK(golden.refusal({program}).find("a-library (= 1)") != std::string::npos);
    const auto change = golden.install("set", {program, user, library});
    CHECK(change.image.installed.size() == 3);
    CHECK(change.image.installed[0]["name"] == "a-library");
    CHECK(dpkg(golden.unpacked("set"), {"--audit"}).empty());
}

TEST_CASE(
    "a package whose postinst does something unknown is left unpacked, and dpkg would configure it")
{
    Golden golden;
    const auto deb =
        golden.deb(support::control_of("late", "1"),
                   {{"usr/bin/late", "x"}, {"etc/late", "y"}},
                   {{"postinst", "#!/bin/sh\nuname >/dev/null\n"}, {"conffiles", "/etc/late\n"}});
    const auto change = golden.install("late", {deb});
    REQUIRE(change.notes.size() == 1);
    CHECK(change.notes[0].find("left unpacked") != std::string::npos);
    const auto root = golden.unpacked("late");
    CHECK(dpkg(root, {"-s", "late"}).find("Status: install ok unpacked") != std::string::npos);
    CHECK(dpkg(root, {"--audit"}).find("unpacked but not yet configured") != std::string::npos);
    if (::geteuid() != 0) {
        WARN("[stemma-skip] dpkg --configure needs root");
        return;
    }
    const auto words = dpkg(root, {"--force-script-chrootless", "--configure", "-a"});
    INFO(words);
    CHECK(dpkg(root, {"-s", "late"}).find("Status: install ok installed") != std::string::npos);
    CHECK(read_file(root / "etc/late") == "y");
    CHECK_FALSE(fs::exists(root / "etc/late.dpkg-new"));
}

TEST_CASE("an upgrade replaces files, drops old ones and keeps a changed configuration file")
{
    Golden golden;
    golden.install(
        "v1",
        {golden.deb(support::control_of("app", "1"),
                    {{"usr/bin/app", "1"}, {"usr/share/app/old", "o"}, {"etc/app", "default\n"}},
                    {{"conffiles", "/etc/app\n"}})});
    const auto mine = golden.folder.path() / "mine";
    write_file(mine, "mine\n");
    image::install(golden.world,
                   {.base = golden.named("v1"),
                    .name = "v1-mine",
                    .files = {{.source = mine, .target = "/etc/app", .mode = std::nullopt}}});
    const auto same_default = golden.deb(support::control_of("app", "2"),
                                         {{"usr/bin/app", "2"}, {"etc/app", "default\n"}},
                                         {{"conffiles", "/etc/app\n"}});
    golden.install("v2", {same_default}, "v1-mine");
    const auto tree = golden.open("v2");
    CHECK(tree->read_all("/usr/bin/app", 10) == "2");
    CHECK(tree->read_all("/etc/app", 10) == "mine\n");
    CHECK_FALSE(tree->look("/usr/share/app").has_value());
    const auto root = golden.unpacked("v2");
    CHECK(dpkg(root, {"--audit"}).empty());
    CHECK(dpkg(root, {"--verify", "app"}).find("c /etc/app") != std::string::npos);
    const auto new_default = golden.deb(support::control_of("app", "3"),
                                        {{"usr/bin/app", "3"}, {"etc/app", "other\n"}},
                                        {{"conffiles", "/etc/app\n"}});
    CHECK(golden.refusal({new_default}, "v2")
              .find("was changed in the image, and the package brings a new one") !=
          std::string::npos);
    const auto plain = golden.install("v3", {new_default}, "v1");
    CHECK(golden.open("v3")->read_all("/etc/app", 10) == "other\n");
}

TEST_CASE("removing a package restores the tree")
{
    Golden golden;
    golden.install("shop-1", {golden.shop()});
    image::remove(golden.world,
                  {.base = golden.named("shop-1"), .name = "bare", .packages = {"shop"}});
    const auto before = golden.open("golden");
    const auto after = golden.open("bare");
    const auto result = image::compare_trees(*before, *after, {}, golden.cancel);
    for (const auto& difference : result.differences) {
        CHECK(difference.name == "none");
    }
    const auto needed = golden.deb(support::control_of("needy", "1", "Depends: shop\n"), {});
    golden.install("needy", {needed}, "shop-1");
    const auto refused = support::error_of([&] {
        image::remove(golden.world,
                      {.base = golden.named("needy"), .name = "x", .packages = {"shop"}});
    });
    REQUIRE(refused.has_value());
    CHECK(refused->message().find("needy would lose it") != std::string::npos);
}

TEST_CASE("a trigger is left pending for the package that asked for it")
{
    Golden golden;
    golden.install("t",
                   {golden.deb(support::control_of("data", "1"), {{"usr/share/watched/x", "x"}})});
    const auto root = golden.unpacked("t");
    CHECK(dpkg(root, {"-s", "watcher"}).find("Status: install ok triggers-pending") !=
          std::string::npos);
    CHECK(read_file(root / "var/lib/dpkg/status").find("Triggers-Pending: /usr/share/watched") !=
          std::string::npos);
    CHECK(dpkg(root, {"-s", "data"}).find("Status: install ok installed") != std::string::npos);
}

TEST_CASE("archives whose names lead out of the tree are refused")
{
    Golden golden;
    const auto tar = golden.folder.path() / "evil.tar";
    const auto inside = golden.folder.path() / "in";
    fs::create_directories(inside);
    write_file(inside / "x", "x");
    for (const std::string rename : {"s,^,../../,", "s,^,/etc/,"}) {
        run_checked({.argv = {"tar",
                              "-P",
                              "-C",
                              inside.string(),
                              "--transform",
                              rename,
                              "-cf",
                              tar.string(),
                              "x"}});
        const auto refused = support::error_of([&] {
            image::install(
                golden.world,
                {.base = golden.named("golden"), .name = "evil", .tars = {tar.string()}});
        });
        REQUIRE(refused.has_value());
        CHECK(refused->code() == ErrorCode::corrupt);
    }
    CHECK(golden.names().size() == 1);
}

TEST_CASE("a tarball goes in with owners by name, modes, links and times")
{
    Golden golden;
    const auto inside = golden.folder.path() / "in";
    fs::create_directories(inside / "srv/data");
    write_file(inside / "srv/data/file", "content", 0640);
    fs::create_hard_link(inside / "srv/data/file", inside / "srv/data/same");
    fs::create_symlink("file", inside / "srv/data/link");
    const auto tar = golden.folder.path() / "files.tar.gz";
    run_checked({.argv = {"tar",
                          "-C",
                          inside.string(),
                          "--owner=shop:5000",
                          "--group=shop:5000",
                          "--mtime=@1600000000",
                          "-czf",
                          tar.string(),
                          "."}});
    const auto change = image::install(
        golden.world, {.base = golden.named("golden"), .name = "t", .tars = {tar.string()}});
    const auto tree = golden.open("t");
    const auto info = tree->look("/srv/data/file");
    REQUIRE(info.has_value());
    CHECK(info->uid == 990);
    CHECK(info->gid == 991);
    CHECK(info->mode == 0640);
    CHECK(info->links == 2);
    CHECK(format_time(info->modified) == "2020-09-13T12:26:40.000000Z");
    CHECK(tree->read_link("/srv/data/link") == "file");
    CHECK(change.image.installed[0]["files"].size() == 3);
}

TEST_CASE("killed anywhere, an install leaves old images, and the next one works")
{
    Golden golden;
    const auto deb = golden.shop();
    const auto before = golden.names();
    for (int milliseconds = 0; milliseconds < 300; milliseconds += 15) {
        const pid_t child = ::fork();
        if (child == 0) {
            try {
                support::FakeClock clock;
                NullLog log;
                auto store = lineage::Store::open((golden.folder.path() / "lineage.db").string(),
                                                  lineage::Store::Mode::write,
                                                  clock,
                                                  log);
                image::World world = golden.world;
                image::World mine{.store = *store,
                                  .clock = clock,
                                  .log = log,
                                  .progress = world.progress,
                                  .cancel = world.cancel,
                                  .folder = world.folder,
                                  .allow = {}};
                image::install(
                    mine,
                    {.base = image::select(store.get(), "image:golden", std::nullopt, {}),
                     .name = "shop-1",
                     .debs = {deb}});
            } catch (...) {
                ::_exit(1);
            }
            ::_exit(0);
        }
        ::usleep(static_cast<useconds_t>(milliseconds) * 1000);
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        const auto known = golden.store->find_image("shop-1");
        if (known) {
            CHECK(sha256_file(golden.raw).hex() == golden.imported.image.digest);
            break;
        }
    }
    const auto change = golden.install("shop-1", {deb});
    const auto names = golden.names();
    CHECK(names.size() == before.size() + 1); // no work file is left
    CHECK(golden.open("shop-1")->look("/usr/bin/shopd").has_value());
}

TEST_CASE("a full image is named and nothing is published")
{
    Golden golden;
    const auto big = golden.folder.path() / "big";
    write_file(big, std::string(60 << 20, 'b'));
    const auto error = support::error_of([&] {
        image::install(golden.world,
                       {.base = golden.named("golden"),
                        .name = "big",
                        .files = {{.source = big, .target = "/big", .mode = std::nullopt}}});
    });
    REQUIRE(error.has_value());
    CHECK(error->message().find("no room in the image for /big") != std::string::npos);
    CHECK(golden.names().size() == 1);
}

TEST_CASE("a file takes the place of no folder, no device and no immutable file")
{
    Golden golden;
    const auto source = golden.folder.path() / "source";
    write_file(source, "x");
    const auto tar = golden.folder.path() / "dev.tar";
    run_checked({.argv = {"python3",
                          "-c",
                          "import sys, tarfile\n"
                          "with tarfile.open(sys.argv[1], 'w') as tar:\n"
                          "    info = tarfile.TarInfo('dev/thing')\n"
                          "    info.type, info.devmajor, info.devminor = tarfile.BLKTYPE, 8, 1\n"
                          "    tar.addfile(info)\n",
                          tar.string()}});
    image::install(golden.world,
                   {.base = golden.named("golden"), .name = "device", .tars = {tar.string()}});
    const auto flat = golden.folder.path() / "device.raw";
    image::export_image(golden.world, golden.named("device"), flat, volume::ContainerFormat::raw);
    run_checked({.argv = {"debugfs",
                          "-w",
                          "-R",
                          "set_inode_field /etc/os-release flags 0x80010",
                          flat.string()},
                 .environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}}});
    image::import_image(golden.world, "guarded", golden.file(flat));
    const auto refused = [&](const std::string& target) {
        const auto error = support::error_of([&] {
            image::install(golden.world,
                           {.base = golden.named("guarded"),
                            .name = "x",
                            .files = {{.source = source, .target = target, .mode = std::nullopt}}});
        });
        return error ? error->message() : "";
    };
    CHECK(refused("/etc").find("/etc is a folder") != std::string::npos);
    CHECK(refused("/dev/thing").find("/dev/thing is a block") != std::string::npos);
    CHECK(refused("/etc/os-release").find("immutable") != std::string::npos);
    CHECK(refused("/etc/os-release/x") != "");
    CHECK(refused("/loop/x") != "");
}

TEST_CASE("an archive that unpacks to more than there is room for ends early")
{
    Golden golden;
    const auto bomb = golden.folder.path() / "bomb.tar.gz";
    run_checked({.argv = {"python3",
                          "-c",
                          "import sys, tarfile\n"
                          "class Zeros:\n"
                          "    def read(self, n): return bytes(n)\n"
                          "with tarfile.open(sys.argv[1], 'w:gz', compresslevel=1) as tar:\n"
                          "    info = tarfile.TarInfo('zeros')\n"
                          "    info.size = 200 << 20\n"
                          "    tar.addfile(info, Zeros())\n",
                          bomb.string()}});
    const auto error = support::error_of([&] {
        image::install(golden.world,
                       {.base = golden.named("golden"), .name = "x", .tars = {bomb.string()}});
    });
    REQUIRE(error.has_value());
    CHECK(error->message().find("no room in the image for /zeros") != std::string::npos);
    CHECK(golden.names().size() == 1);
}

TEST_CASE(
    "names of any bytes, of 255 of them, and links that lead out of the image are kept as they are")
{
    Golden golden;
    const auto inside = golden.folder.path() / "in";
    fs::create_directories(inside / "names");
    const std::vector<std::string> names = {
        std::string(255, 'n'), "new\nline", "\xff\xfe not utf-8", " ", "-rf", "\\", "tab\there"};
    for (const std::string& name : names) {
        // Not write_file(): its temporary name is longer than the name, and 255 bytes is all there
        // is.
        std::ofstream(inside / "names" / name, std::ios::binary) << name;
    }
    fs::create_symlink("../../../../../../etc/passwd", inside / "names/out");
    const auto tar = golden.folder.path() / "names.tar";
    run_checked({.argv = {"tar", "-C", inside.string(), "-cf", tar.string(), "."}});
    const auto change = image::install(
        golden.world, {.base = golden.named("golden"), .name = "t", .tars = {tar.string()}});
    const auto tree = golden.open("t");
    for (const std::string& name : names) {
        CHECK(tree->read_all("/names/" + name, 1000) == name);
    }
    CHECK(tree->read_all("/names/out", 1000).starts_with("root:x:0:0::/root:/bin/sh\nshop"));
    CHECK(change.image.installed[0]["files"].size() == names.size() + 1);
    // Files that go through the link stay in the image too.
    const auto source = golden.folder.path() / "source";
    write_file(source, "x");
    image::install(golden.world,
                   {.base = golden.named("t"),
                    .name = "u",
                    .files = {{.source = source, .target = "/names/out", .mode = std::nullopt}}});
    CHECK(golden.open("u")->look("/names/out")->kind == volume::NodeKind::file);
}
