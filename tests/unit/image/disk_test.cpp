#include "stemma/core/digest.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include "image_files.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

std::string folder_content(volume::Filesystem& tree, const std::string& root)
{
    std::string text;
    volume::walk(
        tree,
        root,
        [&](const std::string& path, const volume::NodeInfo& info) {
            text += fmt::format("{} {} {:o} {} {} {}\n",
                                path,
                                volume::to_string(info.kind),
                                info.mode,
                                info.uid,
                                info.kind == volume::NodeKind::directory ? 0 : info.size,
                                info.links);
            if (info.kind == volume::NodeKind::file) {
                text += sha256(tree.read_all(path, 1 << 26)).hex() + "\n";
            }
            if (info.kind == volume::NodeKind::symlink) {
                text += tree.read_link(path) + "\n";
            }
            return path != "/lost+found";
        },
        [&](const std::string& path, const std::string& why) {
            text += "DAMAGE " + path + " " + why + "\n";
        });
    return text;
}

struct Fixture {
    TemporaryFolder folder{"disk-test"};
    fs::path tree = folder.path() / "tree";
    fs::path raw = folder.path() / "disk.raw";

    Fixture()
    {
        support::make_tree(tree);
        support::make_ext(raw, tree);
    }
};

} // namespace

TEST_CASE("a file system reads the same from every container format")
{
    const Fixture fixture;
    const auto expected = folder_content(*disk::open_image_filesystem(fixture.raw.string()), "/");
    CHECK(expected.find("/etc/shop/shop.conf file 644") != std::string::npos);
    CHECK(expected.find("DAMAGE") == std::string::npos);
    for (const std::string format : {"qcow2", "vmdk", "vpc", "vhdx", "vdi"}) {
        INFO(format);
        const auto path = fixture.folder.path() / ("disk." + format);
        support::convert(fixture.raw, path, format);
        CHECK(folder_content(*disk::open_image_filesystem(path.string()), "/") == expected);
    }
}

TEST_CASE("what is read equals the folder that mke2fs copied")
{
    const Fixture fixture;
    const auto image = disk::open_image_filesystem(fixture.raw.string());
    CHECK(image->driver() == "ext4");
    for (const auto& entry : fs::recursive_directory_iterator(fixture.tree)) {
        const std::string path = "/" + entry.path().lexically_relative(fixture.tree).string();
        INFO(path);
        const auto info = image->look(path);
        REQUIRE(info.has_value());
        if (entry.is_symlink()) {
            CHECK(image->read_link(path) == fs::read_symlink(entry.path()).string());
        } else if (entry.is_regular_file()) {
            CHECK(image->read_all(path, 1 << 26) == read_file(entry.path()));
            CHECK(info->links == fs::hard_link_count(entry.path()));
        }
    }
}

TEST_CASE("symbolic links are followed within the image")
{
    const Fixture fixture;
    const auto image = disk::open_image_filesystem(fixture.raw.string());
    CHECK(image->read_all("/bin/nothing", 10).empty());
    CHECK(image->read_all("/absolute", 1000) == image->read_all("/etc/os-release", 1000));
    CHECK(image->read_all("/etc/shop/above", 1000) == image->read_all("/etc/os-release", 1000));
    CHECK(image->look("/absolute")->kind == volume::NodeKind::symlink);
    CHECK(image->look_through("/absolute")->kind == volume::NodeKind::file);
    CHECK_FALSE(image->look("/etc/shop/shop.conf/below").has_value());
    CHECK_FALSE(image->look_through("/loop").has_value()); // as every tree answers
}

TEST_CASE("a raw disk whose guest wrote a qcow2 header is not taken for one")
{
    const Fixture fixture;
    const auto hostile = fixture.folder.path() / "guest.raw";
    run_checked({.argv = {"qemu-img",
                          "create",
                          "-q",
                          "-f",
                          "qcow2",
                          "-F",
                          "raw",
                          "-b",
                          "/etc/passwd",
                          hostile.string()}});
    const auto refused = support::error_of([&] { disk::open_image_filesystem(hostile.string()); });
    REQUIRE(refused.has_value());
    CHECK(refused->code() == ErrorCode::usage);
    const auto as_qcow2 = support::error_of([&] {
        disk::open_image_filesystem(hostile.string(), {.format = volume::ContainerFormat::qcow2});
    });
    REQUIRE(as_qcow2.has_value());
    CHECK(as_qcow2->message().find("outside of the folders") != std::string::npos);
}

TEST_CASE("backing files outside the allowed folders are refused, inside they are read")
{
    const Fixture fixture;
    const auto other = fixture.folder.path() / "other";
    fs::create_directory(other);
    const auto overlay = other / "overlay.qcow2";
    run_checked({.argv = {"qemu-img",
                          "create",
                          "-q",
                          "-f",
                          "qcow2",
                          "-F",
                          "raw",
                          "-b",
                          fixture.raw.string(),
                          overlay.string()}});
    const auto refused = support::error_of([&] { disk::open_image_filesystem(overlay.string()); });
    REQUIRE(refused.has_value());
    CHECK(refused->hint().find("images.allow") != std::string::npos);
    const auto tree =
        disk::open_image_filesystem(overlay.string(), {.allow = {fixture.folder.path()}});
    CHECK(tree->read_all("/etc/shop/shop.conf", 100) == "port = 7070\n");
}

TEST_CASE("chains that run in a circle or miss a file are refused")
{
    const Fixture fixture;
    const auto a = fixture.folder.path() / "a.qcow2";
    const auto b = fixture.folder.path() / "b.qcow2";
    for (const auto& [file, backing] : {std::pair{a, b}, std::pair{b, a}}) {
        run_checked({.argv = {"qemu-img",
                              "create",
                              "-q",
                              "-u",
                              "-f",
                              "qcow2",
                              "-F",
                              "qcow2",
                              "-b",
                              backing.string(),
                              file.string(),
                              "48M"}});
    }
    const auto circle = support::error_of([&] { disk::open_image_filesystem(a.string()); });
    REQUIRE(circle.has_value());
    CHECK(circle->message().find("circle") != std::string::npos);
    fs::remove(b);
    const auto missing = support::error_of([&] { disk::open_image_filesystem(a.string()); });
    REQUIRE(missing.has_value());
    CHECK(missing->code() == ErrorCode::not_found);
}

TEST_CASE("a truncated image is refused and never read as zeros")
{
    const Fixture fixture;
    const auto qcow2 = fixture.folder.path() / "cut.qcow2";
    support::convert(fixture.raw, qcow2, "qcow2");
    const auto size = fs::file_size(qcow2);
    for (const auto share : {2, 3, 5, 8, 9}) {
        INFO(share);
        fs::resize_file(qcow2, size / 10 * static_cast<unsigned>(share));
        CHECK(support::error_of([&] { disk::open_image_filesystem(qcow2.string()); }).has_value());
        fs::remove(qcow2);
        support::convert(fixture.raw, qcow2, "qcow2");
    }
    fs::resize_file(fixture.raw, 20 << 20);
    const auto raw = support::error_of([&] { disk::open_image_filesystem(fixture.raw.string()); });
    REQUIRE(raw.has_value());
    CHECK(raw->code() == ErrorCode::corrupt);
}

TEST_CASE("an image in use by another writer is refused, and read when sharing is forced")
{
    const Fixture fixture;
    const auto qcow2 = fixture.folder.path() / "busy.qcow2";
    support::convert(fixture.raw, qcow2, "qcow2");
    disk::OpenOptions writing{.writable = true};
    const auto writer = disk::open_disk(qcow2, writing);
    const auto refused = support::error_of([&] { disk::open_image_filesystem(qcow2.string()); });
    REQUIRE(refused.has_value());
    CHECK(refused->code() == ErrorCode::conflict);
    const auto tree = disk::open_image_filesystem(qcow2.string(), {.force_share = true});
    CHECK(tree->read_all("/etc/shop/shop.conf", 100) == "port = 7070\n");
}
