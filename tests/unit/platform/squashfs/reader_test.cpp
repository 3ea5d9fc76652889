#include "stemma/core/text.hpp"
#include "stemma/squashfs/squashfs.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/volumes.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

struct Fixture {
    TemporaryFolder folder{"squashfs"};
    fs::path tree = folder.path() / "tree";
    fs::path image = folder.path() / "image.squashfs";

    Fixture()
    {
        fs::create_directories(tree / "etc/deep/er");
        write_file(tree / "etc/os-release", "ID=test\n");
        write_file(tree / "etc/deep/large", support::pattern(3'000'000));
        write_file(tree / "etc/deep/er/tail", support::pattern(131'073));
        write_file(tree / "empty", "", 0600);
        write_file(tree / std::string("odd \n\xff name"), "odd");
        fs::create_symlink("deep/large", tree / "etc/link");
        fs::create_symlink("/etc/os-release", tree / "etc/deep/absolute");
        fs::create_hard_link(tree / "etc/os-release", tree / "same");
        for (int i = 0; i < 700; ++i) {
            write_file(tree / fmt::format("etc/deep/er/{:04}", i), std::to_string(i));
        }
    }

    void make(const std::vector<std::string>& options = {}) const
    {
        std::vector<std::string> argv = {
            "mksquashfs", tree.string(), image.string(), "-noappend", "-quiet", "-no-progress"};
        argv.insert(argv.end(), options.begin(), options.end());
        support::tool_checked(argv);
    }
};

std::vector<std::string> walk_all(volume::Filesystem& tree)
{
    std::vector<std::string> lines;
    volume::walk(
        tree,
        "/",
        [&](const std::string& path, const volume::NodeInfo& info) {
            if (info.kind == volume::NodeKind::file) {
                (void)tree.read_all(path, 1 << 26);
            }
            (void)tree.extended_attributes(path);
            lines.push_back(path);
            return true;
        },
        [&](const std::string& path, const std::string& why) {
            lines.push_back("DAMAGE " + path + " " + why);
        });
    return lines;
}

} // namespace

TEST_CASE("a squashfs reads as the folder that mksquashfs packed, whatever compressed it")
{
    const Fixture fixture;
    for (const std::string compressor : {"gzip", "xz", "zstd", "lz4"}) {
        INFO(compressor);
        fixture.make({"-comp", compressor});
        const auto tree = squashfs::open_reader(support::load(fixture.image));
        CHECK(tree->driver() == "squashfs");
        std::size_t count = 1;
        for (const auto& entry : fs::recursive_directory_iterator(fixture.tree)) {
            ++count;
            const std::string path = "/" + entry.path().lexically_relative(fixture.tree).string();
            INFO(path);
            const auto info = tree->look(path);
            REQUIRE(info.has_value());
            if (entry.is_symlink()) {
                CHECK(info->kind == volume::NodeKind::symlink);
                CHECK(tree->read_link(path) == fs::read_symlink(entry.path()).string());
            } else if (entry.is_regular_file()) {
                CHECK(info->size == entry.file_size());
                CHECK(info->mode == static_cast<unsigned>(entry.status().permissions()));
                CHECK(info->links == entry.hard_link_count());
                CHECK(tree->read_all(path, 1 << 26) == read_file(entry.path()));
            } else {
                CHECK(info->kind == volume::NodeKind::directory);
            }
        }
        CHECK(walk_all(*tree).size() == count);
        CHECK(tree->read_all("/etc/deep/absolute", 100) == "ID=test\n");
        CHECK(tree->read_all("/etc/link", 1 << 23).size() == 3'000'000);
        CHECK_FALSE(tree->look("/etc/none").has_value());
    }
}

TEST_CASE("owners and extended attributes of a squashfs are read")
{
    const Fixture fixture;
    const auto file = (fixture.tree / "etc/os-release").string();
    const bool can =
        support::tool({"setfattr", "-n", "user.note", "-v", "kept", file}).exit.success();
    fixture.make({"-force-uid", "1234", "-force-gid", "70000"});
    const auto tree = squashfs::open_reader(support::load(fixture.image));
    CHECK(tree->look("/etc/os-release")->uid == 1234);
    CHECK(tree->look("/etc/os-release")->gid == 70000);
    if (can) {
        CHECK(tree->extended_attributes("/etc/os-release") ==
              std::map<std::string, std::string>{{"user.note", "kept"}});
    }
    CHECK(tree->extended_attributes("/empty").empty());
}

TEST_CASE("a squashfs that is cut off is refused, at whatever place")
{
    const Fixture fixture;
    fixture.make();
    const auto size = fs::file_size(fixture.image);
    for (const std::uint64_t share : {0ULL, 1ULL, 50ULL, 500ULL, 900ULL, 960ULL}) {
        INFO(share);
        auto content = read_file(fixture.image);
        content.resize(size * share / 1000);
        const auto cut = fixture.folder.path() / "cut";
        write_file(cut, content);
        const auto error = support::error_of([&] { squashfs::open_reader(support::load(cut)); });
        REQUIRE(error.has_value());
        CHECK(error->code() == ErrorCode::corrupt);
    }
}

TEST_CASE("a squashfs with any bytes changed is read or refused, and ends")
{
    const Fixture fixture;
    fixture.make();
    const auto size = fs::file_size(fixture.image);
    std::mt19937 random(11);
    for (int round = 0; round < 60; ++round) {
        auto volume = support::load(fixture.image);
        for (int i = 0; i < 6; ++i) {
            const std::array<std::byte, 1> byte = {static_cast<std::byte>(random())};
            const auto at = i < 2 ? random() % 96 : size - 1 - random() % (size / 3);
            volume->write(at, byte);
        }
        (void)support::error_of([&] {
            const auto tree = squashfs::open_reader(std::move(volume));
            (void)walk_all(*tree);
        });
    }
    SUCCEED();
}
