#include "stemma/disk/disk.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/volume/partition.hpp"

#include <catch2/catch.hpp>

#include "image_files.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

/// sfdisk's script on a fresh raw disk of 64 MiB.
fs::path make_disk(const fs::path& folder, const std::string& script)
{
    const auto path = folder / "disk.raw";
    write_file(path, "");
    fs::resize_file(path, 64 << 20);
    Command command{.argv = {"sfdisk", "-q", path.string()}, .input = script};
    command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
    run_checked(command);
    return path;
}

volume::PartitionTable table_of(const fs::path& path)
{
    const auto disk = disk::open_disk(path, {.format = volume::ContainerFormat::raw});
    return volume::read_partitions(*disk);
}

void poke(const fs::path& path, std::size_t at, const std::string& bytes)
{
    auto content = read_file(path);
    content.replace(at, bytes.size(), bytes);
    write_file(path, content);
}

} // namespace

TEST_CASE("a GPT is read, also from its backup, and refused when both copies are damaged")
{
    const TemporaryFolder folder("partitions");
    const auto path =
        make_disk(folder.path(), "label: gpt\nsize=8MiB,type=U\nsize=30MiB,type=L,name=root\n");
    const auto table = table_of(path);
    CHECK(table.kind == volume::PartitionTable::Kind::gpt);
    REQUIRE(table.partitions.size() == 2);
    CHECK(table.partitions[1].label == "root");
    CHECK(table.partitions[0].offset == (1 << 20));
    CHECK(table.partitions[1].length == (30 << 20));
    poke(path, 512, std::string(512, '\0'));
    const auto backup = table_of(path);
    CHECK(backup.from_backup);
    CHECK(backup.partitions.size() == 2);
    poke(path, (64 << 20) - 512, std::string(512, '\0'));
    const auto error = support::error_of([&] { table_of(path); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::corrupt);
}

TEST_CASE("MBR partitions are numbered as the kernel numbers them, logical ones too")
{
    const TemporaryFolder folder("partitions");
    const auto path = make_disk(folder.path(),
                                "label: dos\n1: size=4MiB,type=83\n2: size=40MiB,type=5\n5: "
                                "size=8MiB,type=83\n6: size=8MiB,type=82\n");
    const auto table = table_of(path);
    CHECK(table.kind == volume::PartitionTable::Kind::mbr);
    REQUIRE(table.partitions.size() == 3);
    CHECK(table.partitions[0].number == 1);
    CHECK(table.partitions[1].number == 5);
    CHECK(table.partitions[2].number == 6);
    CHECK(table.partitions[2].type == "0x82");
}

TEST_CASE("the root file system is found among several partitions")
{
    const TemporaryFolder folder("partitions");
    const auto tree = folder.path() / "tree";
    support::make_tree(tree);
    const auto root = folder.path() / "root.raw";
    support::make_ext(root, tree, "30M");
    const auto boot = folder.path() / "boot";
    fs::create_directory(boot);
    write_file(boot / "vmlinuz", "kernel");
    const auto small = folder.path() / "boot.raw";
    support::make_ext(small, boot, "8M");
    const auto path = make_disk(folder.path(), "label: gpt\nsize=8MiB\nsize=30MiB\n");
    auto content = read_file(path);
    content.replace(1 << 20, 8 << 20, read_file(small));
    content.replace(9 << 20, 30 << 20, read_file(root));
    write_file(path, content);
    CHECK(disk::open_image_filesystem(path.string())->look("/etc/os-release").has_value());
    CHECK(
        disk::open_image_filesystem(path.string(), {.partition = 1})->look("/vmlinuz").has_value());
    const auto missing =
        support::error_of([&] { disk::open_image_filesystem(path.string(), {.partition = 7}); });
    REQUIRE(missing.has_value());
    CHECK(missing->code() == ErrorCode::not_found);
}

TEST_CASE("what cannot be read is named and never taken for something else")
{
    const TemporaryFolder folder("partitions");
    const auto path = folder.path() / "disk.raw";
    const std::vector<std::tuple<std::size_t, std::string, std::string>> magics = {
        {0, "LUKS\xba\xbe", "LUKS"},
        {512, "LABELONE", "LVM"},
        {0, "XFSB", "xfs"},
        {0x10040, "_BHRfS_M", "btrfs"},
        {4096, "\xfc\x4e\x2b\xa9", "RAID"},
        {3, "NTFS    ", "ntfs"}};
    for (const auto& [at, bytes, name] : magics) {
        INFO(name);
        write_file(path, std::string(4 << 20, '\0'));
        poke(path, at, bytes);
        const auto error = support::error_of([&] { disk::open_image_filesystem(path.string()); });
        REQUIRE(error.has_value());
        CHECK(error->code() == ErrorCode::unsupported);
        CHECK(error->message().find(name) != std::string::npos);
    }
}

TEST_CASE("a table with any byte changed gives partitions within the disk, or an error")
{
    const TemporaryFolder folder("partitions");
    for (const std::string label : {"gpt", "dos"}) {
        const auto path = make_disk(folder.path(), "label: " + label + "\nsize=4MiB\nsize=8MiB\n");
        const auto content = read_file(path).substr(0, 64 << 10);
        for (std::size_t i = 0; i < 4000; ++i) {
            std::vector<std::byte> bytes(1 << 20);
            std::transform(content.begin(), content.end(), bytes.begin(), [](char c) {
                return static_cast<std::byte>(c);
            });
            const std::size_t at = label == "dos" ? 440 + i % 72 : 440 + (i * 7) % 2000;
            bytes[at] ^= static_cast<std::byte>(1 + i % 255);
            volume::MemoryVolume disk(std::move(bytes));
            (void)support::error_of([&] {
                for (const auto& partition : volume::read_partitions(disk).partitions) {
                    CHECK(partition.offset + partition.length <= disk.size());
                }
            });
        }
    }
}
