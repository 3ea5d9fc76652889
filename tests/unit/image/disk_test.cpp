#include "stemma/core/digest.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/volumes.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "image_files.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

constexpr std::size_t crypt_method = 32; // in the header of a qcow2; four bytes, big endian

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

TEST_CASE("a raw disk that another writes to is refused too, whether it is whole or a base")
{
    const Fixture fixture;
    const auto overlay = fixture.folder.path() / "overlay.qcow2";
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
    const auto writer = disk::open_disk(fixture.raw, {.writable = true});
    for (const auto& path : {fixture.raw, overlay}) {
        const auto refused = support::error_of([&] { disk::open_image_filesystem(path.string()); });
        REQUIRE(refused.has_value());
        CHECK(refused->code() == ErrorCode::conflict);
        const auto tree = disk::open_image_filesystem(path.string(), {.force_share = true});
        CHECK(tree->read_all("/etc/shop/shop.conf", 100) == "port = 7070\n");
    }
}

TEST_CASE("a survey of a folder says what single questions say")
{
    const Fixture fixture;
    const auto tree = disk::open_image_filesystem(fixture.raw.string());
    std::size_t digests = 0;
    std::size_t targets = 0;
    volume::walk(
        *tree,
        "/",
        [&](const std::string& folder, const volume::NodeInfo& info) {
            if (info.kind != volume::NodeKind::directory) {
                return true;
            }
            const auto names = tree->list(folder);
            const auto entries = tree->survey(folder, true);
            REQUIRE(entries.size() == names.size());
            for (std::size_t i = 0; i < entries.size(); ++i) {
                const auto& entry = entries[i];
                const auto path = volume::join_path(folder, names[i].name);
                INFO(path);
                CHECK(entry.name == names[i].name);
                CHECK(entry.whole);
                CHECK(entry.info->inode == tree->look(path)->inode);
                CHECK(entry.attributes == tree->extended_attributes(path));
                if (entry.info->kind == volume::NodeKind::file) {
                    CHECK(entry.digest == tree->digest(path));
                    ++digests;
                }
                if (entry.info->kind == volume::NodeKind::symlink) {
                    CHECK(entry.target == tree->read_link(path));
                    ++targets;
                }
            }
            CHECK_FALSE(std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
                return entry.digest != std::nullopt && entry.info->kind != volume::NodeKind::file;
            }));
            return true;
        },
        [](const std::string& path, const std::string& why) { FAIL(path << ": " << why); });
    CHECK(digests > 0);
    CHECK(targets > 0);
    for (const auto& entry : tree->survey("/etc", false)) {
        CHECK_FALSE(entry.digest.has_value());
    }
    CHECK(support::error_of([&] { (void)tree->survey("/no/such", true); })->code() ==
          ErrorCode::not_found);
}

TEST_CASE("a raw disk has the same bytes with and without a server, and its holes are known")
{
    const TemporaryFolder folder("raw");
    const auto path = folder.path() / "disk.raw";
    write_file(path, std::string(100'000, 'a'));
    fs::resize_file(path, 8 << 20);
    {
        std::ofstream end(path, std::ios::app);
        end << std::string(1000, 'z'); // no whole sector: qemu adds zeros
    }
    const auto through = disk::open_disk(path, {});
    const auto direct = disk::open_disk_bytes(path, {});
    REQUIRE(direct->size() == through->size());
    CHECK(direct->size() % 512 == 0);
    const auto all = [](volume::Volume& disk) {
        std::vector<std::byte> bytes(disk.size());
        disk.read(0, bytes);
        return bytes;
    };
    CHECK(all(*direct) == all(*through));
    std::uint64_t next = 0;
    std::uint64_t holes = 0;
    for (const auto& extent : direct->extents(0, direct->size())) {
        CHECK(extent.offset == next);
        next += extent.length;
        holes += extent.zero ? extent.length : 0;
        std::vector<std::byte> bytes(extent.length);
        through->read(extent.offset, bytes);
        CHECK((!extent.zero || std::all_of(bytes.begin(), bytes.end(), [](auto byte) {
            return byte == std::byte{0};
        })));
    }
    CHECK(next == direct->size());
    CHECK(holes > (7 << 20));
    CHECK(support::error_of([&] { direct->extents(direct->size(), 1); })->code() ==
          ErrorCode::corrupt);
    fs::resize_file(path, 4096);
    CHECK(support::error_of([&] { all(*direct); })->code() == ErrorCode::io);
}

TEST_CASE("a raw disk that is read without a server and one that qemu writes exclude each other")
{
    const TemporaryFolder folder("raw");
    const auto path = folder.path() / "disk.raw";
    write_file(path, std::string(4096, 'a'));
    const disk::OpenOptions writing{.writable = true};
    {
        const auto reader = disk::open_disk_bytes(path, {});
        CHECK(support::error_of([&] { disk::open_disk(path, writing); })->code() ==
              ErrorCode::conflict);
        CHECK(disk::open_disk(path, {})->size() == 4096);
        CHECK(disk::open_disk_bytes(path, {})->size() == 4096);
    }
    const auto writer = disk::open_disk(path, writing);
    const auto refused = support::error_of([&] { disk::open_disk_bytes(path, {}); });
    REQUIRE(refused.has_value());
    CHECK(refused->code() == ErrorCode::conflict);
    CHECK(disk::open_disk_bytes(path, {.force_share = true})->size() == 4096);
}

TEST_CASE("no container that is cut off reads as zeros: it is refused, or nothing is missing")
{
    const Fixture fixture;
    const auto expected = folder_content(*disk::open_image_filesystem(fixture.raw.string()), "/");
    for (const std::string format : {"qcow2", "vmdk", "vpc", "vhdx", "vdi"}) {
        for (const unsigned percent : {15U, 50U, 80U, 97U}) {
            INFO(format << " " << percent);
            const auto path = fixture.folder.path() / ("cut." + format);
            support::convert(fixture.raw, path, format);
            fs::resize_file(path, fs::file_size(path) / 100 * percent);
            std::string content;
            const auto error = support::error_of([&] {
                content = folder_content(*disk::open_image_filesystem(path.string()), "/");
            });
            CHECK((error.has_value() || content == expected));
            fs::remove(path);
        }
    }
}

TEST_CASE("a vmdk's extents are read where they are whole, refused where they are cut off")
{
    const Fixture fixture;
    const auto path = fixture.folder.path() / "flat.vmdk";
    const auto convert = [&] {
        run_checked({.argv = {"qemu-img",
                              "convert",
                              "-f",
                              "raw",
                              "-O",
                              "vmdk",
                              "-o",
                              "subformat=monolithicFlat",
                              fixture.raw.string(),
                              path.string()}});
    };
    convert();
    CHECK(disk::open_image_filesystem(path.string())->read_all("/etc/shop/shop.conf", 100) ==
          "port = 7070\n");
    const auto extent = fixture.folder.path() / "flat-flat.vmdk";
    fs::resize_file(extent, 40 << 20);
    const auto cut = support::error_of([&] { disk::open_image_filesystem(path.string()); });
    REQUIRE(cut.has_value());
    CHECK(cut->code() == ErrorCode::corrupt);
    CHECK(cut->message().find("cut off") != std::string::npos);
    auto descriptor = read_file(path);
    const std::string name = "\"flat-flat.vmdk\"";
    descriptor.replace(descriptor.find(name), name.size(), "\"/etc/passwd\"");
    write_file(path, descriptor);
    const auto outside = support::error_of([&] { disk::open_image_filesystem(path.string()); });
    REQUIRE(outside.has_value());
    CHECK(outside->message().find("outside of the folders") != std::string::npos);
}

TEST_CASE("encrypted images are named and refused; external data files stay in their folder")
{
    const Fixture fixture;
    const auto locked = fixture.folder.path() / "locked.qcow2";
    const auto refuse_locked = [&] {
        const auto encrypted =
            support::error_of([&] { disk::open_image_filesystem(locked.string()); });
        REQUIRE(encrypted.has_value());
        CHECK(encrypted->code() == ErrorCode::unsupported);
        CHECK(encrypted->message().find("encrypted") != std::string::npos);
    };
    support::tool_checked({"qemu-img",
                           "create",
                           "-q",
                           "-f",
                           "qcow2",
                           "--object",
                           "secret,id=s,data=abc",
                           "-o",
                           "encrypt.format=aes,encrypt.key-secret=s",
                           locked.string(),
                           "4M"});
    refuse_locked();
    // LUKS by its number in the header: to make a real one, qemu-img times the processor, which
    // fails on machines whose clock of a thread is coarse.
    auto header = read_file(locked);
    REQUIRE(header.substr(crypt_method, 4) == std::string("\0\0\0\1", 4));
    header[crypt_method + 3] = 2;
    write_file(locked, header);
    refuse_locked();
    const auto apart = fixture.folder.path() / "apart.qcow2";
    const auto data = fixture.folder.path() / "data.raw";
    support::tool_checked({"qemu-img",
                           "convert",
                           "-f",
                           "raw",
                           "-O",
                           "qcow2",
                           "-o",
                           "data_file=" + data.string(),
                           fixture.raw.string(),
                           apart.string()});
    CHECK(disk::open_image_filesystem(apart.string())->read_all("/etc/shop/shop.conf", 100) ==
          "port = 7070\n");
    const auto elsewhere = fixture.folder.path() / "elsewhere";
    fs::create_directory(elsewhere);
    fs::rename(apart, elsewhere / "apart.qcow2");
    const auto outside = support::error_of(
        [&] { disk::open_image_filesystem((elsewhere / "apart.qcow2").string()); });
    REQUIRE(outside.has_value());
    CHECK(outside->message().find("outside of the folders") != std::string::npos);
}

TEST_CASE("an internal snapshot reads as the disk was")
{
    const Fixture fixture;
    const auto path = fixture.folder.path() / "snapshots.qcow2";
    support::convert(fixture.raw, path, "qcow2");
    support::tool_checked({"qemu-img", "snapshot", "-c", "before", path.string()});
    const auto blocks = support::debugfs(fixture.raw, "blocks /etc/shop/shop.conf");
    const auto offset = std::stoull(blocks) * 1024;
    support::tool_checked({"qemu-io",
                           "-f",
                           "qcow2",
                           "-c",
                           fmt::format("write -P 0x7a {} 512", offset),
                           path.string()});
    CHECK(disk::open_image_filesystem(path.string())->read_all("/etc/shop/shop.conf", 100) ==
          std::string(12, 'z'));
    CHECK(disk::open_image_filesystem(path.string(), {.snapshot = "before"})
              ->read_all("/etc/shop/shop.conf", 100) == "port = 7070\n");
    CHECK(support::error_of([&] {
              disk::open_image_filesystem(path.string(), {.snapshot = "never"});
          }).has_value());
}

TEST_CASE("a damaged superblock is replaced by its copy, which is said; whoever writes refuses")
{
    const Fixture fixture;
    auto content = read_file(fixture.raw);
    const auto expected = folder_content(*disk::open_image_filesystem(fixture.raw.string()), "/");
    auto zeroed = content;
    zeroed.replace(1024, 1024, std::string(1024, '\0'));
    auto flipped = content;
    flipped[1024 + 200] = static_cast<char>(flipped[1024 + 200] ^ 0x20);
    for (const auto& damaged : {zeroed, flipped}) {
        write_file(fixture.raw, damaged);
        const auto tree = disk::open_image_filesystem(fixture.raw.string());
        CHECK(tree->driver().find("backup") != std::string::npos);
        CHECK(folder_content(*tree, "/") == expected);
    }
}

TEST_CASE("a damaged inode or folder costs itself, and is named")
{
    const Fixture fixture;
    const auto original = read_file(fixture.raw);
    // "located at block 37, offset 0x0c00"
    const auto words = support::debugfs(fixture.raw, "imap /etc/shop/shop.conf");
    const auto block = std::stoull(words.substr(words.find("at block ") + 9));
    const auto offset = std::stoull(words.substr(words.find("offset ") + 7), nullptr, 16);
    const auto folder = std::stoull(support::debugfs(fixture.raw, "blocks /usr/bin"));
    const std::vector<std::pair<std::uint64_t, std::string>> places = {
        {block * 1024 + offset + 16, "DAMAGE /etc/shop/shop.conf"},
        {folder * 1024 + 30, "DAMAGE /usr/bin"}};
    for (const auto& [at, wanted] : places) {
        INFO(wanted);
        auto damaged = original;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x11);
        write_file(fixture.raw, damaged);
        const auto text = folder_content(*disk::open_image_filesystem(fixture.raw.string()), "/");
        CHECK(text.find(wanted) != std::string::npos);
        CHECK(text.find("/etc/os-release file") != std::string::npos);
    }
}
