#include "stemma/core/text.hpp"
#include "stemma/ntfs/ntfs.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/volumes.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

/// An NTFS made by mkntfs and filled by ntfscp, which needs no mount. ntfscp makes files, no
/// folders.
struct Fixture {
    TemporaryFolder folder{"ntfs"};
    fs::path image = folder.path() / "disk.ntfs";
    std::map<std::string, std::string> files = {{"small.txt", "resident content"},
                                                {"large.bin", support::pattern(2'500'000)},
                                                {"empty", ""},
                                                {"Grün 日本.txt", "unicode"}};

    Fixture()
    {
        support::make_empty(image, 12 << 20);
        support::tool_checked({"mkntfs", "-q", "-F", "-f", "-L", "test", image.string()});
        for (const auto& [name, content] : files) {
            const auto source = folder.path() / "source";
            write_file(source, content);
            support::tool_checked({"ntfscp", "-q", "-f", image.string(), source.string(), name});
        }
    }
};

std::size_t count_all(volume::Filesystem& tree)
{
    std::size_t count = 0;
    volume::walk(
        tree,
        "/",
        [&](const std::string& path, const volume::NodeInfo& info) {
            if (info.kind == volume::NodeKind::file) {
                (void)tree.read_all(path, 1 << 26);
            }
            ++count;
            return true;
        },
        [](const std::string&, const std::string&) {});
    return count;
}

} // namespace

TEST_CASE("an NTFS reads as ntfscp wrote it, without NTFS's own files")
{
    const Fixture fixture;
    const auto tree = ntfs::open_reader(support::load(fixture.image));
    CHECK(tree->driver() == "ntfs");
    for (const auto& [name, content] : fixture.files) {
        INFO(name);
        REQUIRE(tree->look("/" + name).has_value());
        CHECK(tree->look("/" + name)->kind == volume::NodeKind::file);
        CHECK(tree->look("/" + name)->size == content.size());
        CHECK(tree->read_all("/" + name, 1 << 23) == content);
    }
    CHECK(tree->list("/").size() == fixture.files.size());
    CHECK(count_all(*tree) == fixture.files.size() + 1);
    CHECK_FALSE(tree->look("/none").has_value());
    // What ntfs-3g's own tool says of the same image.
    for (const auto& [name, content] : fixture.files) {
        CHECK(support::tool_checked({"ntfscat", "-q", "-f", fixture.image.string(), name}) ==
              tree->read_all("/" + name, 1 << 23));
    }
}

TEST_CASE("reading an NTFS does not write to it")
{
    const Fixture fixture;
    auto owned = support::load(fixture.image);
    const volume::MemoryVolume* volume = owned.get();
    const auto before = read_file(fixture.image);
    const auto tree = ntfs::open_reader(std::move(owned));
    (void)count_all(*tree);
    const auto after = fixture.folder.path() / "after";
    support::save(const_cast<volume::MemoryVolume&>(*volume),
                  after); // NOLINT(cppcoreguidelines-pro-type-const-cast): still ours
    CHECK(read_file(after) == before);
}

TEST_CASE("an NTFS that is cut off is refused")
{
    const Fixture fixture;
    fs::resize_file(fixture.image, 6 << 20);
    const auto error = support::error_of([&] { ntfs::open_reader(support::load(fixture.image)); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::corrupt);
    CHECK(error->message().find("more than its disk holds") != std::string::npos);
}

TEST_CASE("a volume of a hibernated Windows says so")
{
    const Fixture fixture;
    const auto source = fixture.folder.path() / "hiberfil";
    write_file(source, "hibr" + std::string(8188, 'x'));
    support::tool_checked(
        {"ntfscp", "-q", "-f", fixture.image.string(), source.string(), "hiberfil.sys"});
    const auto tree = ntfs::open_reader(support::load(fixture.image));
    CHECK(tree->driver().find("hibernated") != std::string::npos);
    CHECK(tree->read_all("/small.txt", 100) == "resident content");
}

TEST_CASE("an NTFS with any bytes changed is read or refused, and ends")
{
    const Fixture fixture;
    const auto content = read_file(fixture.image);
    // The file table begins where the boot sector says.
    const auto cluster = static_cast<unsigned char>(content[13]) * 512ULL;
    const auto table = static_cast<unsigned char>(content[48]) * cluster;
    std::mt19937 random(13);
    for (int round = 0; round < 60; ++round) {
        auto volume = support::load(fixture.image);
        for (int i = 0; i < 6; ++i) {
            const std::array<std::byte, 1> byte = {static_cast<std::byte>(random())};
            const auto at = round % 3 == 0 ? random() % 80 : table + random() % (72 * 1024);
            volume->write(at, byte);
        }
        (void)support::error_of([&] {
            const auto tree = ntfs::open_reader(std::move(volume));
            (void)count_all(*tree);
        });
    }
    SUCCEED();
}
