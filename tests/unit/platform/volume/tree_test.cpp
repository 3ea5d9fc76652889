#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/volume/filesystem.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

using namespace stemma;
using volume::NodeKind;

namespace fs = std::filesystem;

namespace {

/// A tree with everything that makes trouble, as a folder and as a tar of that folder.
struct Trouble {
    TemporaryFolder folder{"tree-test"};
    fs::path tree = folder.path() / "tree";

    Trouble()
    {
        fs::create_directories(tree / "etc/deep/er");
        fs::create_directories(tree / "usr/bin");
        write_file(folder.path() / "secret", "of the host");
        write_file(tree / "etc/passwd", "root:x:0:0\n", 0640);
        write_file(tree / "etc/bad\xff\nname", "bytes");
        fs::create_symlink("usr/bin", tree / "bin");
        fs::create_symlink("/etc/passwd", tree / "usr/bin/absolute");
        fs::create_symlink("../../../../../../../../etc/passwd", tree / "etc/deep/up");
        fs::create_symlink((folder.path() / "secret").string(), tree / "etc/escape");
        fs::create_symlink("../../secret", tree / "etc/escape2");
        fs::create_symlink("loop-b", tree / "loop-a");
        fs::create_symlink("loop-a", tree / "loop-b");
        fs::create_symlink("nowhere", tree / "dangling");
        fs::create_hard_link(tree / "etc/passwd", tree / "etc/same");
        ::mkfifo((tree / "etc/pipe").c_str(), 0600);
    }

    std::vector<std::unique_ptr<volume::Filesystem>> both() const
    {
        const auto tar = (folder.path() / "tree.tar.gz").string();
        run_checked({.argv = {"tar", "-C", tree.string(), "-czf", tar, "."}});
        std::vector<std::unique_ptr<volume::Filesystem>> result;
        result.push_back(volume::open_folder(tree.string()));
        result.push_back(volume::open_tar(tar));
        return result;
    }
};

std::vector<std::string> walked(volume::Filesystem& tree, const std::string& root = "/")
{
    std::vector<std::string> paths;
    volume::walk(
        tree,
        root,
        [&](const std::string& path, const volume::NodeInfo&) {
            paths.push_back(path);
            return true;
        },
        [&](const std::string& path, const std::string& why) {
            paths.push_back("damage " + path + ": " + why);
        });
    return paths;
}

} // namespace

TEST_CASE("folder and tar of it answer alike")
{
    const Trouble trouble;
    const auto trees = trouble.both();
    CHECK(walked(*trees[0]) == walked(*trees[1]));
    CHECK(walked(*trees[0]).size() == 18);
    for (const auto& tree : trees) {
        CAPTURE(tree->driver());
        const auto info = tree->look("/etc/passwd");
        REQUIRE(info);
        CHECK(info->kind == NodeKind::file);
        CHECK(info->mode == 0640);
        CHECK(info->size == 11);
        CHECK(info->links == 2);
        CHECK(info->inode == tree->look("/etc/same")->inode);
        CHECK(tree->read_all("/etc/same", 100) == "root:x:0:0\n");
        CHECK(tree->read_all("/etc/bad\xff\nname", 100) == "bytes");
        CHECK(tree->look("/bin")->kind == NodeKind::symlink);
        CHECK(tree->look_through("/bin")->kind == NodeKind::directory);
        CHECK(tree->read_link("/bin") == "usr/bin");
        CHECK(tree->look("/etc/pipe")->kind == NodeKind::fifo);
        CHECK(tree->list("/bin").size() == 1);
        CHECK_FALSE(tree->look("/etc/passwd/x"));
        CHECK_FALSE(tree->look("/nothing"));
        CHECK_FALSE(tree->look(std::string("/etc\0x", 6)));
    }
}

TEST_CASE("links stay within the tree")
{
    const Trouble trouble;
    for (const auto& tree : trouble.both()) {
        CAPTURE(tree->driver());
        CHECK(tree->read_all("/bin/absolute", 100) == "root:x:0:0\n");
        CHECK(tree->read_all("/etc/deep/up", 100) == "root:x:0:0\n");
        CHECK(tree->read_all("/../../etc/deep/../passwd", 100) == "root:x:0:0\n");
        CHECK_FALSE(tree->look_through("/etc/escape"));
        CHECK_FALSE(tree->look_through("/etc/escape2"));
        CHECK_FALSE(tree->look_through("/loop-a"));
        CHECK_FALSE(tree->look_through("/dangling"));
        CHECK(tree->look("/dangling"));
        for (const auto* path : {"/etc/escape", "/loop-a", "/dangling", "/none"}) {
            CHECK(support::error_of([&] { (void)tree->read_all(path, 100); })->code() ==
                  ErrorCode::not_found);
        }
    }
}

TEST_CASE("only regular files are read, only folders listed, only links read as links")
{
    const Trouble trouble;
    for (const auto& tree : trouble.both()) {
        CAPTURE(tree->driver());
        for (const auto* path : {"/etc/pipe", "/etc"}) {
            CHECK(support::error_of([&] { (void)tree->read_all(path, 100); })->code() ==
                  ErrorCode::usage);
        }
        CHECK(support::error_of([&] { (void)tree->list("/etc/passwd"); })->code() ==
              ErrorCode::usage);
        CHECK(support::error_of([&] { (void)tree->read_link("/etc"); })->code() ==
              ErrorCode::usage);
        CHECK(support::error_of([&] { (void)tree->read_all("/etc/passwd", 5); })->code() ==
              ErrorCode::unsupported);
    }
}

TEST_CASE("a walk goes in order and skips what it is told to skip")
{
    const Trouble trouble;
    for (const auto& tree : trouble.both()) {
        std::vector<std::string> paths;
        volume::walk(
            *tree,
            "/etc",
            [&](const std::string& path, const volume::NodeInfo&) {
                paths.push_back(path);
                return path != "/etc/deep";
            },
            [](const std::string&, const std::string&) { FAIL("no damage here"); });
        CHECK(paths.front() == "/etc");
        CHECK(std::is_sorted(paths.begin(), paths.end()));
        CHECK(std::find(paths.begin(), paths.end(), "/etc/deep") != paths.end());
        CHECK(std::find(paths.begin(), paths.end(), "/etc/deep/er") == paths.end());
    }
}

TEST_CASE("a walk of five hundred folders in each other ends at its bound and says so")
{
    const TemporaryFolder folder("deep-test");
    fs::create_directory(folder.path() / "tree");
    Fd at = open_file((folder.path() / "tree").string(), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 500; ++i) {
        REQUIRE(::mkdirat(at.get(), "d", 0755) == 0);
        at = Fd(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    at.reset();
    const auto tar = (folder.path() / "deep.tar").string();
    run_checked({.argv = {"tar", "-C", (folder.path() / "tree").string(), "-cf", tar, "."}});
    const auto plain = volume::open_folder((folder.path() / "tree").string());
    const auto packed = volume::open_tar(tar);
    for (auto* tree : {plain.get(), packed.get()}) {
        const auto paths = walked(*tree);
        CHECK(paths.size() == 258);
        CHECK(paths.back().find("deeper than 256 folders") != std::string::npos);
    }
}

TEST_CASE("a tar's hostile entries stay out, and the others come in")
{
    const TemporaryFolder folder("hostile-test");
    const std::string script = R"(
import tarfile, io, sys
t = tarfile.open(sys.argv[1], "w")
def add(name, content=b"x", type=tarfile.REGTYPE, link=""):
    i = tarfile.TarInfo(name); i.size = len(content) if type == tarfile.REGTYPE else 0
    i.type = type; i.linkname = link; t.addfile(i, io.BytesIO(content) if i.size else None)
add("../outside"); add("a/../../outside"); add("/absolute")
add("link", type=tarfile.SYMTYPE, link="/tmp"); add("link/through")
add("hard", type=tarfile.LNKTYPE, link="../../etc/passwd")
add("hard2", type=tarfile.LNKTYPE, link="absolute")
add("file"); add("file/below"); add("twice", b"old"); add("twice", b"newer")
add("dev", type=tarfile.CHRTYPE)
t.close()
)";
    const auto tar = (folder.path() / "t.tar").string();
    run_checked({.argv = {"python3", "-c", script, tar}});
    const auto tree = volume::open_tar(tar);
    CHECK(walked(*tree) ==
          std::vector<std::string>{"/", "/absolute", "/dev", "/file", "/hard2", "/link", "/twice"});
    CHECK(tree->read_all("/twice", 10) == "newer");
    CHECK(tree->look("/dev")->kind == NodeKind::char_device);
    CHECK(support::error_of([&] { (void)volume::open_tar(tar, 3); })->code() ==
          ErrorCode::unsupported);
}

TEST_CASE("a folder that is none is refused")
{
    const TemporaryFolder folder("none-test");
    write_file(folder.path() / "file", "x");
    CHECK(support::error_of([&] {
              volume::open_folder((folder.path() / "no").string());
          })->code() == ErrorCode::not_found);
    CHECK(support::error_of([&] {
              volume::open_folder((folder.path() / "file").string());
          })->code() == ErrorCode::usage);
}
