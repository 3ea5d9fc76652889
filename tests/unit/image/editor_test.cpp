#include "stemma/core/digest.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/ext/editor.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "image_files.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

const Time moment = parse_time("2026-03-04T05:06:07Z");

struct Fixture {
    TemporaryFolder folder{"editor-test"};
    fs::path tree = folder.path() / "tree";
    fs::path raw = folder.path() / "disk.raw";

    explicit Fixture(const std::vector<std::string>& options = {}, const std::string& size = "48M")
    {
        support::make_tree(tree);
        support::make_ext(raw, tree, size, options);
    }

    /// Runs `change` on the raw image in place and checks it with our check and with e2fsck itself.
    template <typename Change>
    void edit(Change&& change)
    {
        {
            const auto disk = disk::open_disk(raw, {.writable = true});
            ext::Editor editor(*disk, moment);
            change(editor);
            editor.finish();
            ext::check(*disk, folder.path().string());
        }
        CHECK(support::is_clean(raw));
    }
};

std::string pattern(std::size_t size)
{
    std::string text(size, '\0');
    std::uint32_t state = 12345;
    for (char& c : text) {
        state = state * 1664525U + 1013904223U;
        c = static_cast<char>(state >> 24U);
    }
    return text;
}

} // namespace

TEST_CASE("files, folders, links and devices that were written are there for debugfs and e2fsck")
{
    Fixture fixture;
    const std::string large = pattern(5'000'001);
    fixture.edit([&](ext::Editor& editor) {
        CHECK(editor.put_folder("/opt", {.mode = 0755, .modified = moment}));
        CHECK_FALSE(editor.put_folder("/bin", {.mode = 0700}));
        editor.put_file(
            "/opt/large", {.mode = 04755, .uid = 70000, .gid = 80000, .modified = moment}, large);
        editor.put_file("/bin/tool", {.mode = 0755}, "new tool\n");
        editor.put_file("/opt/empty", {}, "");
        editor.put_symlink("/opt/short", {}, "large");
        editor.put_symlink("/opt/long", {}, std::string(200, 'l'));
        editor.put_hard_link("/opt/large", "/opt/second");
        editor.put_device("/opt/device", {.mode = 0600}, false, 1, 3);
        editor.put_fifo("/opt/fifo", {.mode = 0644});
        editor.remove("/etc/shop/shop.conf");
        CHECK_FALSE(editor.remove_folder("/usr"));
        CHECK(editor.remove_folder("/var/lib/empty"));
        CHECK(editor.tree().read_all("/usr/bin/tool", 100) == "new tool\n");
    });
    const auto image = disk::open_image_filesystem(fixture.raw.string());
    CHECK(image->read_all("/opt/second", 1 << 24) == large);
    CHECK(image->read_all("/usr/bin/same", 1 << 24) == std::string(300'000, 'x') + "end");
    CHECK(image->look("/usr/bin/same")->links == 1);
    CHECK(image->look("/opt/large")->links == 2);
    CHECK(image->look("/opt/large")->uid == 70000);
    CHECK(image->look("/opt/large")->modified == moment);
    CHECK(image->read_link("/opt/long") == std::string(200, 'l'));
    CHECK_FALSE(image->look("/var/lib/empty").has_value());
    CHECK(support::debugfs(fixture.raw, "cat /usr/bin/tool") == "new tool\n");
    CHECK(sha256(support::debugfs(fixture.raw, "cat /opt/large")) == sha256(large));
    const auto device = support::debugfs(fixture.raw, "stat /opt/device");
    CHECK(device.find("character special") != std::string::npos);
    CHECK(device.find("Device major/minor number: 01:03") != std::string::npos);
}

TEST_CASE("every layout of ext that is not refused takes a change and stays clean")
{
    for (const std::vector<std::string>& options :
         std::vector<std::vector<std::string>>{{"-t", "ext2"},
                                               {"-t", "ext3"},
                                               {"-O", "^metadata_csum"},
                                               {"-O", "^64bit"},
                                               {"-O", "metadata_csum_seed"},
                                               {"-O", "orphan_file"},
                                               {"-O", "meta_bg,^resize_inode"},
                                               {"-O", "large_dir"},
                                               {"-O", "^dir_index"},
                                               {"-O", "sparse_super2"},
                                               {"-b", "1024"},
                                               {"-I", "128"}}) {
        INFO(options[1]);
        Fixture fixture(options);
        const std::string content = pattern(123'457);
        fixture.edit([&](ext::Editor& editor) {
            editor.put_folder("/opt", {.mode = 0755, .modified = moment});
            editor.put_file("/opt/file", {.mode = 0640, .modified = moment}, content);
            editor.put_file("/usr/bin/tool", {.mode = 0755, .modified = moment}, content);
            editor.remove("/etc/shop/shop.conf");
            editor.set_attributes(
                "/etc/os-release",
                {.mode = 0600, .modified = moment, .xattrs = {{"user.note", "hello"}}});
        });
        const auto image = disk::open_image_filesystem(fixture.raw.string());
        CHECK(image->read_all("/opt/file", 1 << 24) == content);
        CHECK(image->read_all("/usr/bin/tool", 1 << 24) == content);
        CHECK(image->extended_attributes("/etc/os-release").at("user.note") == "hello");
        CHECK(image->look("/etc/os-release")->mode == 0600);
    }
}

TEST_CASE("features that cannot be written faithfully are refused by name")
{
    for (const std::string feature : {"inline_data",
                                      "ea_inode",
                                      "bigalloc",
                                      "quota",
                                      "casefold",
                                      "encrypt",
                                      "mmp",
                                      "verity",
                                      "stable_inodes"}) {
        INFO(feature);
        const Fixture fixture({"-O", feature});
        const auto before = sha256_file(fixture.raw);
        const auto disk = disk::open_disk(fixture.raw, {.writable = true});
        const auto refused = support::error_of([&] { const ext::Editor editor(*disk, moment); });
        REQUIRE(refused.has_value());
        CHECK(refused->message().find(feature) != std::string::npos);
        CHECK(refused->code() == ErrorCode::unsupported);
        CHECK(sha256_file(fixture.raw) == before);
    }
}

TEST_CASE("the same changes on the same bytes give the same bytes")
{
    std::string digests;
    Fixture first;
    const auto copy = first.folder.path() / "copy.raw";
    fs::copy_file(first.raw, copy);
    const auto change = [](ext::Editor& editor) {
        editor.put_folder("/srv", {.mode = 0755});
        for (int i = 0; i < 300; ++i) {
            editor.put_file(
                fmt::format("/srv/file-{}", i), {}, pattern(static_cast<std::size_t>(i) * 100));
        }
        for (int i = 0; i < 300; i += 2) {
            editor.remove(fmt::format("/srv/file-{}", i));
        }
    };
    first.edit(change);
    const auto one = sha256_file(first.raw);
    fs::rename(copy, first.raw);
    first.edit(change);
    CHECK(sha256_file(first.raw) == one);
}

TEST_CASE("a folder with an index becomes a plain one that e2fsck accepts")
{
    Fixture fixture;
    const auto crowded = fixture.tree / "crowded";
    fs::create_directory(crowded);
    for (int i = 0; i < 2000; ++i) {
        write_file(crowded / fmt::format("a-rather-long-name-for-a-file-{}", i), "");
    }
    for (const std::string feature : {"metadata_csum", "^metadata_csum"}) {
        INFO(feature);
        fs::remove(fixture.raw);
        support::make_ext(fixture.raw, fixture.tree, "48M", {"-O", feature});
        support::reindex(fixture.raw);
        REQUIRE(support::debugfs(fixture.raw, "htree /crowded").find("Root node dump") !=
                std::string::npos);
        fixture.edit([](ext::Editor& editor) {
            for (int i = 0; i < 500; ++i) {
                editor.put_file(fmt::format("/crowded/new-{}", i), {}, "x");
            }
            editor.remove("/crowded/a-rather-long-name-for-a-file-77");
        });
        const auto image = disk::open_image_filesystem(fixture.raw.string());
        CHECK(image->list("/crowded").size() == 2499);
    }
}

TEST_CASE("fifty thousand names fit into one folder")
{
    Fixture fixture({"-N", "60000"}, "96M");
    fixture.edit([](ext::Editor& editor) {
        editor.put_folder("/many", {.mode = 0755});
        for (int i = 0; i < 50'000; ++i) {
            editor.put_symlink(fmt::format("/many/name-{}", i), {}, "target");
        }
    });
    const auto image = disk::open_image_filesystem(fixture.raw.string());
    CHECK(image->list("/many").size() == 50'000);
}

TEST_CASE("a full file system is named, and nothing reaches its old content")
{
    Fixture fixture({}, "16M");
    const auto disk = disk::open_disk(fixture.raw, {.writable = true});
    ext::Editor editor(*disk, moment);
    const auto full = support::error_of([&] { editor.put_file("/big", {}, pattern(30'000'000)); });
    REQUIRE(full.has_value());
    CHECK(full->code() == ErrorCode::io);
    CHECK(full->message().find("no room") != std::string::npos);
    const auto no_inode = support::error_of([&] {
        for (int i = 0; i < 100'000; ++i) {
            editor.put_file(fmt::format("/f{}", i), {}, "");
        }
    });
    REQUIRE(no_inode.has_value());
    CHECK(no_inode->hint().find("no inode left") != std::string::npos);
}

TEST_CASE("times before 1970 and after 2038 are kept where the inode has room")
{
    const auto old = parse_time("1960-01-02T03:04:05Z");
    const auto late = parse_time("2100-01-02T03:04:05.123456Z");
    Fixture large;
    large.edit([&](ext::Editor& editor) {
        editor.put_file("/old", {.modified = old}, "");
        editor.put_file("/late", {.modified = late}, "");
    });
    const auto image = disk::open_image_filesystem(large.raw.string());
    CHECK(image->look("/old")->modified == old);
    CHECK(image->look("/late")->modified == late);
    const Fixture small({"-I", "128"});
    const auto disk = disk::open_disk(small.raw, {.writable = true});
    ext::Editor editor(*disk, moment);
    CHECK(support::error_of([&] { editor.put_file("/late", {.modified = late}, ""); }).has_value());
}
