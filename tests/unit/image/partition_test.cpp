#include "stemma/disk/disk.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/volumes.hpp"
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
        {1024, "\x10\x20\xf5\xf2", "f2fs"},
        {0, "XFSB", "xfs"},
        {0x10040, "_BHRfS_M", "btrfs"},
        {4096, "\xfc\x4e\x2b\xa9", "RAID"}};
    for (const auto& [at, bytes, name] : magics) {
        INFO(name);
        write_file(path, std::string(4 << 20, '\0'));
        poke(path, at, bytes);
        const auto error = support::error_of(
            [&] { disk::open_image_filesystem(path.string(), {.libguestfs = false}); });
        REQUIRE(error.has_value());
        CHECK(error->code() == ErrorCode::unsupported);
        CHECK(error->message().find(name) != std::string::npos);
    }
}

TEST_CASE("a /boot is not taken for the root when the root is one that cannot be read here")
{
    const TemporaryFolder folder("partitions");
    const auto boot = folder.path() / "boot";
    fs::create_directory(boot);
    write_file(boot / "vmlinuz", "kernel");
    const auto small = folder.path() / "boot.raw";
    support::make_ext(small, boot, "8M");
    const auto path = make_disk(folder.path(), "label: gpt\nsize=8MiB\nsize=30MiB\n");
    poke(path, 1 << 20, read_file(small));
    poke(path, (9 << 20) + 0x10040, "_BHRfS_M");
    const disk::OpenOptions options{.libguestfs = false};
    const auto error =
        support::error_of([&] { disk::open_image_filesystem(path.string(), options); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::unsupported);
    CHECK(error->message().find("partition 2: btrfs") != std::string::npos);
    CHECK(error->hint().find("libguestfs0") != std::string::npos);
    auto asked = options;
    asked.partition = 1;
    CHECK(disk::open_image_filesystem(path.string(), asked)->look("/vmlinuz").has_value());
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

namespace {

/// The first MiB of a physical volume, as lvm2's own tools wrote it: group shopvg with the linear
/// volumes root (extents 0-15 of the first, 0-13 of the second, 20-25 of the first volume) and
/// swap, and the striped volume stripy. Extents of 1 MiB, from 1 MiB on.
std::string lvm_head(int number)
{
    return support::tool_checked(
        {"xz", "-dc", fmt::format("{}/images/lvm-pv{}.xz", STEMMA_TEST_DATA, number)});
}

/// A GPT disk with both physical volumes, and a file system of 36 MiB on shopvg/root.
fs::path make_lvm_disk(const TemporaryFolder& folder)
{
    constexpr std::size_t mib = 1 << 20;
    const auto path = folder.path() / "disk.raw";
    support::make_empty(path, 70 * mib);
    support::tool_checked({"sgdisk", "-n", "1:2048:+40M", "-n", "2:0:+24M", path.string()});
    const auto tree = folder.path() / "tree";
    support::make_tree(tree);
    write_file(tree / "large", support::pattern(25 * mib));
    const auto root = folder.path() / "root.raw";
    support::make_ext(root, tree, "36M");
    const auto system = read_file(root);
    auto disk = read_file(path);
    const auto put = [&](std::size_t at, std::string_view bytes) {
        disk.replace(at, bytes.size(), bytes);
    };
    const std::size_t first = mib;
    const std::size_t second = 41 * mib;
    put(first, lvm_head(1));
    put(second, lvm_head(2));
    const std::string_view view = system;
    put(first + mib, view.substr(0, 16 * mib));
    put(second + mib, view.substr(16 * mib, 14 * mib));
    put(first + 21 * mib, view.substr(30 * mib, 6 * mib));
    write_file(path, disk);
    return path;
}

} // namespace

TEST_CASE("logical volumes of LVM are found, read when linear and named when not")
{
    const TemporaryFolder folder("lvm");
    const auto path = make_lvm_disk(folder);
    const auto table = table_of(path);
    REQUIRE(table.partitions.size() == 5);
    CHECK(table.complaints.empty());
    CHECK(table.partitions[2].label == "shopvg/root");
    CHECK(table.partitions[2].number == 1001);
    CHECK(table.partitions[2].content == "ext4");
    CHECK(table.partitions[2].length == (36 << 20));
    CHECK(table.partitions[2].pieces.size() == 3);
    CHECK(table.partitions[3].label == "shopvg/stripy");
    CHECK(table.partitions[3].content == "LVM striped");
    CHECK(table.partitions[4].label == "shopvg/swap");
    const auto tree = disk::open_image_filesystem(path.string());
    CHECK(tree->read_all("/large", 1 << 26) == support::pattern(25 << 20));
    const auto striped = support::error_of([&] {
        disk::open_image_filesystem(path.string(), {.partition = 1002, .libguestfs = false});
    });
    REQUIRE(striped.has_value());
    CHECK(striped->code() == ErrorCode::unsupported);
    CHECK(striped->message().find("LVM striped") != std::string::npos);
}

TEST_CASE("a group of which a disk is missing names what it cannot read")
{
    const TemporaryFolder folder("lvm");
    const auto path = make_lvm_disk(folder);
    poke(path, 41 << 20, std::string(1 << 20, '\0'));
    const auto table = table_of(path);
    REQUIRE(table.partitions.size() == 5);
    CHECK(table.partitions[2].content == "LVM, partly on another disk");
    CHECK(table.partitions[4].pieces.size() == 1); // swap lies on the first disk alone
    const auto error = support::error_of(
        [&] { disk::open_image_filesystem(path.string(), {.libguestfs = false}); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::unsupported);
}

TEST_CASE("damaged metadata of LVM is a complaint, whatever byte is damaged")
{
    const TemporaryFolder folder("lvm");
    const auto head = lvm_head(1);
    std::vector<std::byte> bytes(40 << 20);
    std::transform(
        head.begin(), head.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
    volume::MemoryVolume disk(std::move(bytes));
    for (std::size_t i = 0; i < 1500; ++i) {
        const std::size_t at = i < 300 ? 512 + i : 4096 + (i * 13) % 20'000;
        std::array<std::byte, 1> byte{};
        disk.read(at, byte);
        const auto sound = byte;
        byte[0] ^= static_cast<std::byte>(1 + i % 255);
        disk.write(at, byte);
        for (const auto& partition : volume::read_partitions(disk).partitions) {
            for (const auto& piece : partition.pieces) {
                REQUIRE(piece.offset + piece.length <= disk.size());
            }
        }
        disk.write(at, sound);
    }
}

TEST_CASE("an EFI partition beside the root is not asked about, and is read when asked for")
{
    const TemporaryFolder folder("partitions");
    const auto path = folder.path() / "disk.raw";
    support::make_empty(path, 64 << 20);
    support::tool_checked({"sgdisk", "-n", "1:2048:+16M", "-t", "1:ef00", "-n", "2:0:+40M", path});
    const auto tree = folder.path() / "tree";
    fs::create_directories(tree / "no-os-release-here");
    const auto root = folder.path() / "root.raw";
    support::make_ext(root, tree, "40M");
    const auto esp = folder.path() / "esp.raw";
    support::make_empty(esp, 16 << 20);
    support::tool_checked({"mkfs.fat", esp.string()});
    support::tool_checked({"mmd", "-i", esp.string(), "::EFI"});
    auto content = read_file(path);
    content.replace(1 << 20, 16 << 20, read_file(esp));
    content.replace(17 << 20, 40 << 20, read_file(root));
    write_file(path, content);
    std::vector<std::string> sentences;
    disk::OpenOptions options;
    options.explain = [&](const std::string& sentence) { sentences.push_back(sentence); };
    CHECK(disk::open_image_filesystem(path, options)->look("/no-os-release-here").has_value());
    REQUIRE(sentences.size() == 2);
    CHECK(sentences[0].find("gpt partition table") != std::string::npos);
    CHECK(sentences[1].find("partition 2 is ext4, read by libext2fs") != std::string::npos);
    options.partition = 1;
    CHECK(disk::open_image_filesystem(path, options)->look("/efi").has_value());
}

TEST_CASE("overlapping and overlong partitions are left out by name, the rest is read")
{
    const TemporaryFolder folder("partitions");
    const auto path = make_disk(folder.path(), "label: dos\nsize=8MiB\nsize=8MiB\nsize=8MiB\n");
    poke(path, 446 + 16 + 8, std::string("\x00\x10\x00\x00", 4));  // the second begins in the first
    poke(path, 446 + 32 + 12, std::string("\xff\xff\xff\x0f", 4)); // the third never ends
    const auto table = table_of(path);
    CHECK(table.partitions.size() == 1);
    REQUIRE(table.complaints.size() == 2);
    CHECK(table.complaints[0].find("partition 2 overlaps partition 1") != std::string::npos);
    CHECK(table.complaints[1].find("partition 3 reaches beyond the end") != std::string::npos);
}

TEST_CASE("a file system that is larger than its partition is refused")
{
    const TemporaryFolder folder("partitions");
    const auto tree = folder.path() / "tree";
    support::make_tree(tree);
    const auto root = folder.path() / "root.raw";
    support::make_ext(root, tree, "40M");
    const auto path = make_disk(folder.path(), "label: gpt\nsize=30MiB\nsize=20MiB\n");
    poke(path, 1 << 20, read_file(root).substr(0, 30 << 20));
    const auto error = support::error_of([&] { disk::open_image_filesystem(path.string()); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::corrupt);
    CHECK(error->message().find("more than its disk holds") != std::string::npos);
}
