#include "stemma/core/text.hpp"
#include "stemma/fat/fat.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <random>

#include "fat_files.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

/// name → content; a folder's ends in "/".
const std::vector<std::pair<std::string, std::string>>& files()
{
    static const std::vector<std::pair<std::string, std::string>> all = {
        {"EFI/", ""},
        {"EFI/BOOT/", ""},
        {"EFI/BOOT/BOOTX64.EFI", support::pattern(70'000)},
        {"EFI/a name that is much longer than thirteen units.txt", "long"},
        {"EFI/grün-日本.conf", "unicode"},
        {"empty", ""},
        {"lower.txt", "x"},
        {"UPPER.TXT2", "y"},
        {"one-cluster", support::pattern(512)},
        {"just over.bin", support::pattern(513)}};
    return all;
}

void copy_in(const fs::path& image, const fs::path& folder)
{
    for (const auto& [name, content] : files()) {
        if (name.ends_with('/')) {
            REQUIRE(
                support::tool({"mmd", "-i", image.string(), "::" + name.substr(0, name.size() - 1)})
                    .exit.success());
            continue;
        }
        const auto source = folder / "source";
        write_file(source, content);
        const auto copied =
            support::tool({"mcopy", "-i", image.string(), source.string(), "::" + name});
        INFO(copied.err);
        REQUIRE(copied.exit.success());
    }
}

std::vector<std::string> walk_all(volume::Filesystem& tree)
{
    std::vector<std::string> lines;
    volume::walk(
        tree,
        "/",
        [&](const std::string& path, const volume::NodeInfo& info) {
            std::string content;
            if (info.kind == volume::NodeKind::file) {
                content = tree.read_all(path, 1 << 24);
            }
            lines.push_back(path + " " + content);
            return true;
        },
        [&](const std::string& path, const std::string& why) {
            lines.push_back("DAMAGE " + path + " " + why);
        });
    return lines;
}

} // namespace

TEST_CASE("FAT12, FAT16 and FAT32 read as mtools wrote them")
{
    for (const auto& size : support::fat_sizes()) {
        INFO("FAT" << size.bits);
        const TemporaryFolder folder("fat");
        const auto image = support::make_fat(folder.path(), size);
        copy_in(image, folder.path());
        const auto tree = fat::open_reader(support::load(image));
        CHECK(tree->driver() == "fat" + size.bits);
        for (const auto& [name, content] : files()) {
            INFO(name);
            if (name.ends_with('/')) {
                CHECK(tree->look("/" + name)->kind == volume::NodeKind::directory);
            } else {
                REQUIRE(tree->look("/" + name).has_value());
                CHECK(tree->look("/" + name)->size == content.size());
                CHECK(tree->read_all("/" + name, 1 << 20) == content);
            }
        }
        CHECK(tree->list("/EFI").size() == 3);
        CHECK(tree->list("/").size() == 6);
        CHECK(walk_all(*tree).size() == files().size() + 1);
    }
}

TEST_CASE("names are found whatever their case, and shown as they were given")
{
    const TemporaryFolder folder("fat");
    const auto image = support::make_fat(folder.path(), {"16", 16 << 20});
    copy_in(image, folder.path());
    const auto tree = fat::open_reader(support::load(image));
    CHECK(tree->read_all("/efi/boot/bootx64.efi", 1 << 20).size() == 70'000);
    CHECK_FALSE(tree->look("/efi/boot/other").has_value());
    CHECK_FALSE(tree->look("/lower.txt/below").has_value());
    std::vector<std::string> names;
    for (const auto& entry : tree->list("/")) {
        names.push_back(entry.name);
    }
    CHECK(names == std::vector<std::string>{
                       "EFI", "UPPER.TXT2", "empty", "just over.bin", "lower.txt", "one-cluster"});
}

TEST_CASE("a folder of many entries and deleted ones among them")
{
    const TemporaryFolder folder("fat");
    const auto image = support::make_fat(folder.path(), {"32", 40 << 20});
    const auto source = folder.path() / "many";
    fs::create_directories(source);
    for (int i = 0; i < 300; ++i) {
        write_file(source / fmt::format("file number {:03}.txt", i), std::to_string(i));
    }
    REQUIRE(
        support::tool({"mcopy", "-s", "-i", image.string(), source.string(), "::"}).exit.success());
    REQUIRE(
        support::tool({"mdel", "-i", image.string(), "::many/file number 01?.txt"}).exit.success());
    const auto tree = fat::open_reader(support::load(image));
    CHECK(tree->list("/many").size() == 290);
    CHECK(tree->read_all("/many/file number 299.txt", 100) == "299");
    CHECK_FALSE(tree->look("/many/file number 012.txt").has_value());
}

TEST_CASE("a FAT file system that is larger than its disk is refused")
{
    const TemporaryFolder folder("fat");
    const auto image = support::make_fat(folder.path(), {"16", 16 << 20});
    fs::resize_file(image, 8 << 20);
    const auto error = support::error_of([&] { fat::open_reader(support::load(image)); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::corrupt);
    CHECK(error->message().find("more than its disk holds") != std::string::npos);
}

TEST_CASE("a chain that is cut or runs in a circle is an error, never zeros")
{
    const TemporaryFolder folder("fat");
    const auto image = support::make_fat(folder.path(), {"16", 16 << 20});
    const auto source = folder.path() / "source";
    write_file(source, support::pattern(5000));
    REQUIRE(
        support::tool({"mcopy", "-i", image.string(), source.string(), "::big"}).exit.success());
    auto content = read_file(image);
    const std::size_t table = static_cast<unsigned char>(content[14]) * 512U;
    const auto with_second = [&](char low, char high) {
        auto damaged = content;
        damaged[table + 6] = low; // cluster 3, the file's second
        damaged[table + 7] = high;
        write_file(image, damaged);
        const auto tree = fat::open_reader(support::load(image));
        return support::error_of([&] { (void)tree->read_all("/big", 1 << 20); });
    };
    for (const auto& [low, high] : {std::pair{'\xff', '\xff'}, {'\0', '\0'}, {'\xf0', '\x7f'}}) {
        const auto error = with_second(low, high);
        REQUIRE(error.has_value());
        CHECK(error->code() == ErrorCode::corrupt);
    }
    (void)with_second('\2', '\0'); // a circle: as many clusters as the size says, no more
}

TEST_CASE("a FAT image with any bytes changed is read or refused, and ends")
{
    const TemporaryFolder folder("fat");
    for (const auto& size : {support::FatSize{"12", 1440 << 10}, {"32", 40 << 20}}) {
        const auto image = support::make_fat(folder.path(), size);
        copy_in(image, folder.path());
        const auto content = read_file(image);
        std::mt19937 random(7);
        const int rounds = size.bits == "12" ? 150 : 12; // each copies the whole disk
        for (int round = 0; round < rounds; ++round) {
            auto volume = support::load(image);
            for (int i = 0; i < 8; ++i) {
                const std::array<std::byte, 1> byte = {static_cast<std::byte>(random())};
                // The boot sector, the tables and the first folders.
                volume->write(random() % (round % 3 == 0 ? 64 : 200'000), byte);
            }
            (void)support::error_of([&] {
                const auto tree = fat::open_reader(std::move(volume));
                (void)walk_all(*tree);
            });
        }
    }
    SUCCEED();
}
