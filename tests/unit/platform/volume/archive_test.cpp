#include "stemma/archive/reader.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <map>

using namespace stemma;
using archive::EntryKind;
using archive::Format;
using archive::Reader;

namespace {

/// Longer than a header's first name field.
const std::string long_path = "usr/" + std::string(90, 'l') + "/" + std::string(90, 'm');

/// What GNU tar made of a small tree; `flags` choose format and compression.
std::string make_tar(const std::filesystem::path& folder, const std::vector<std::string>& flags)
{
    const auto tree = folder / "tree";
    std::filesystem::create_directories(tree / "usr/bin");
    write_file(tree / "usr/bin/shopd", std::string(3'000'000, 'x'), 0755);
    write_file(tree / "usr/naïve ☃", "snow", 0640);
    std::filesystem::create_directory(tree / ("usr/" + std::string(90, 'l')));
    write_file(tree / long_path, "long", 0644);
    std::error_code ignored;
    std::filesystem::create_symlink("bin/shopd", tree / "usr/link", ignored);
    std::filesystem::create_hard_link(tree / "usr/bin/shopd", tree / "usr/same", ignored);
    ::mkfifo((tree / "usr/pipe").c_str(), 0600);
    const auto file = (folder / "out.tar").string();
    std::vector<std::string> argv = {"tar", "--sort=name", "--owner=shop:12", "--group=shop:34"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    for (const auto* word : {"-C", tree.c_str(), "-cf", file.c_str(), "."}) {
        argv.emplace_back(word);
    }
    run_checked({.argv = argv});
    return file;
}

std::map<std::string, archive::Entry> entries_of(Reader reader)
{
    std::map<std::string, archive::Entry> result;
    while (auto entry = reader.next()) {
        result.emplace(archive::safe_path(entry->path).value_or("(unsafe)"), *entry);
    }
    return result;
}

std::size_t read_everything(const std::string& bytes, Format format)
{
    std::size_t read = 0;
    auto reader = Reader::over(bytes, "torn", format, {1000, 10'000'000});
    while (reader.next()) {
        reader.content([&](std::string_view piece) {
            read += piece.size();
            return true;
        });
    }
    return read;
}

} // namespace

TEST_CASE("entries of a tar carry what tar put in, in every format and compression")
{
    const std::vector<std::vector<std::string>> ways = {{"--format=ustar"},
                                                        {"--format=gnu"},
                                                        {"--format=pax"},
                                                        {"--format=gnu", "--gzip"},
                                                        {"--format=gnu", "--xz"},
                                                        {"--format=pax", "--zstd"},
                                                        {"--format=gnu", "--bzip2"}};
    for (const auto& way : ways) {
        CAPTURE(way);
        const TemporaryFolder folder("archive-test");
        const auto entries = entries_of(Reader::open(make_tar(folder.path(), way), Format::tar));
        REQUIRE(entries.size() == 10);
        const auto& daemon = entries.at("usr/bin/shopd");
        CHECK(daemon.kind == EntryKind::file);
        CHECK(daemon.mode == 0755);
        CHECK(daemon.uid == 12);
        CHECK(daemon.gid == 34);
        CHECK(daemon.user == "shop");
        CHECK(daemon.size == 3'000'000);
        CHECK(entries.at("usr/naïve ☃").mode == 0640);
        CHECK(entries.count(long_path) == 1);
        CHECK(entries.at("usr/link").kind == EntryKind::symlink);
        CHECK(entries.at("usr/link").link_target == "bin/shopd");
        CHECK(entries.at("usr/same").kind == EntryKind::hard_link);
        CHECK(archive::safe_path(entries.at("usr/same").link_target) == "usr/bin/shopd");
        CHECK(entries.at("usr/pipe").kind == EntryKind::fifo);
        CHECK(entries.at("").kind == EntryKind::directory);
    }
}

TEST_CASE("content comes whole, and stops where the reader has enough")
{
    const TemporaryFolder folder("archive-test");
    auto reader = Reader::open(make_tar(folder.path(), {"--gzip"}), Format::tar);
    std::size_t seen = 0;
    while (const auto entry = reader.next()) {
        if (entry->path == "./usr/bin/shopd") {
            CHECK(reader.content_all(3'000'000) == std::string(3'000'000, 'x'));
        } else if (entry->kind == EntryKind::file) {
            reader.content([&](std::string_view piece) {
                seen += piece.size();
                return false;
            });
        }
    }
    CHECK(seen == 8);
}

TEST_CASE("limits on entries, on one content and on all bytes are kept")
{
    const TemporaryFolder folder("archive-test");
    const auto file = make_tar(folder.path(), {"--gzip"});
    const auto few = support::error_of([&] { entries_of(Reader::open(file, Format::tar, {3})); });
    REQUIRE(few);
    CHECK(few->code() == ErrorCode::unsupported);
    const auto small = support::error_of([&] {
        entries_of(Reader::open(file, Format::tar, {1000, 1'000'000}));
    });
    REQUIRE(small);
    CHECK(small->code() == ErrorCode::unsupported);
    auto reader = Reader::open(file, Format::tar);
    const auto large = support::error_of([&] {
        while (reader.next()) {
            reader.content_all(1'000'000);
        }
    });
    REQUIRE(large);
    CHECK(large->code() == ErrorCode::unsupported);
}

TEST_CASE("what is no archive, or none at all, is named")
{
    const TemporaryFolder folder("archive-test");
    write_file(folder.path() / "text", std::string(5000, 'n'));
    const auto text = (folder.path() / "text").string();
    CHECK(support::error_of([&] { entries_of(Reader::open(text, Format::tar)); })->code() ==
          ErrorCode::corrupt);
    CHECK(support::error_of([&] { Reader::open(text + "-not", Format::tar); })->code() ==
          ErrorCode::not_found);
    CHECK(support::error_of([&] { archive::open_deb(text, archive::DebMember::data); })->code() ==
          ErrorCode::corrupt);
}

TEST_CASE("a tar cut at any place or with any byte changed ends in an Error or in entries")
{
    const TemporaryFolder folder("archive-test");
    for (const auto* flag : {"--gzip", "--format=pax", "--zstd"}) {
        std::filesystem::remove_all(folder.path() / "tree");
        std::filesystem::create_directories(folder.path() / "tree");
        write_file(folder.path() / "tree/a", "some content");
        run_checked({.argv = {"tar",
                              flag,
                              "-C",
                              (folder.path() / "tree").string(),
                              "-cf",
                              (folder.path() / "small").string(),
                              "."}});
        const auto whole = read_file(folder.path() / "small");
        for (std::size_t size = 0; size < whole.size(); size += 1 + size / 300) {
            support::error_of([&] { read_everything(whole.substr(0, size), Format::tar); });
            auto changed = whole;
            changed[size] = static_cast<char>(changed[size] ^ 0x55);
            support::error_of([&] { read_everything(changed, Format::tar); });
        }
    }
    SUCCEED("nothing crashed");
}

TEST_CASE("both tars of a Debian package are read as dpkg-deb reads them")
{
    if (!find_program("dpkg-deb")) {
        WARN("[stemma-skip] dpkg-deb is not installed");
        return;
    }
    for (const auto* compression : {"-Zxz", "-Zgzip", "-Znone"}) {
        const TemporaryFolder folder("deb-test");
        const auto tree = folder.path() / "tree";
        std::filesystem::create_directories(tree / "DEBIAN");
        std::filesystem::create_directories(tree / "etc/shop");
        write_file(tree / "DEBIAN/control",
                   "Package: shop\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\n"
                   "Description: test\n");
        write_file(tree / "etc/shop/shop.conf", "port = 7000\n");
        const auto deb = (folder.path() / "shop.deb").string();
        run_checked(
            {.argv = {"dpkg-deb", "--root-owner-group", compression, "-b", tree.string(), deb}});
        auto control = archive::open_deb(deb, archive::DebMember::control);
        std::string text;
        while (const auto entry = control.next()) {
            if (archive::safe_path(entry->path) == "control") {
                text = control.content_all(1 << 20);
            }
        }
        CHECK(text == read_file(tree / "DEBIAN/control"));
        const auto data = entries_of(archive::open_deb(deb, archive::DebMember::data));
        CHECK(data.size() == 4);
        CHECK(data.at("etc/shop/shop.conf").uid == 0);
        const auto whole = read_file(deb);
        for (std::size_t size = 0; size < whole.size(); size += 7) {
            write_file(folder.path() / "torn.deb", whole.substr(0, size));
            const auto error = support::error_of([&] {
                entries_of(archive::open_deb((folder.path() / "torn.deb").string(),
                                             archive::DebMember::data));
            });
            // Only the padding after the last member may be missing without being missed.
            CHECK((error || size + 2048 > whole.size()));
        }
    }
}

TEST_CASE("paths that leave the tree are unsafe")
{
    CHECK(archive::safe_path("./usr//bin/./x/") == "usr/bin/x");
    CHECK(archive::safe_path("/etc/passwd") == "etc/passwd");
    CHECK(archive::safe_path("./") == "");
    CHECK_FALSE(archive::safe_path("a/../../etc/passwd"));
    CHECK_FALSE(archive::safe_path(".."));
    CHECK_FALSE(archive::safe_path(std::string_view("a\0b", 3)));
    std::string deep;
    for (int i = 0; i < 2000; ++i) {
        deep += "d/";
    }
    CHECK_FALSE(archive::safe_path(deep));
}
