// usage: mutated_images KIND COUNT DATA-FOLDER
//
// Makes an image of that kind with the real tools, damages COUNT copies of it, each in the same way
// in every run, and reads all that is in them, the way from the partition table to the last file,
// without a jail: a crash or a sanitizer's report fails the test. So does an image that takes over
// 20 s of processor time, and an undamaged one that cannot be read.

#include "stemma/disk/disk.hpp"
#include "stemma/support/volumes.hpp"

#include <cstdio>
#include <ctime>
#include <random>

#include "tree_target.hpp"

namespace {

using namespace stemma;
namespace fs = std::filesystem;

constexpr std::size_t mib = 1 << 20;

fs::path make_tree(const fs::path& folder)
{
    auto tree = folder / "tree";
    fs::create_directories(tree / "etc/deep/er");
    write_file(tree / "etc/os-release", "ID=test\n");
    write_file(tree / "etc/deep/large", support::pattern(300'000));
    write_file(tree / "etc/deep/er/file", support::pattern(5000));
    fs::create_symlink("deep/large", tree / "etc/link");
    for (int i = 0; i < 120; ++i) {
        write_file(tree / "etc/deep/er" / ("a name that is rather long " + std::to_string(i)), "x");
    }
    return tree;
}

void make_ext(const fs::path& folder, const fs::path& image, std::vector<std::string> options)
{
    std::vector<std::string> argv = {"mke2fs", "-q", "-F", "-d", make_tree(folder).string()};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(image.string());
    argv.emplace_back("8M");
    support::tool_checked(argv);
}

/// A journal that has to be replayed.
void make_dirty(const fs::path& folder, const fs::path& image)
{
    make_ext(folder, image, {"-t", "ext3", "-b", "4096"});
    const auto block = folder / "block";
    write_file(block, std::string(4096, 'n'));
    const auto script = folder / "script";
    write_file(script, "jo -c -v 3\njw -b 700,701,702 " + block.string() + "\njc\n");
    support::tool({"debugfs", "-w", "-f", script.string(), image.string()});
}

void make_fat(const fs::path& folder, const fs::path& image, const std::string& bits)
{
    support::make_empty(image, bits == "12" ? 2 * mib : 40 * mib);
    support::tool_checked({"mkfs.fat", "-F", bits, "-s", "1", image.string()});
    const auto tree = make_tree(folder);
    fs::remove(tree / "etc/link");
    support::tool_checked({"mcopy", "-s", "-i", image.string(), (tree / "etc").string(), "::etc"});
}

void make_ntfs(const fs::path& folder, const fs::path& image)
{
    support::make_empty(image, 4 * mib);
    support::tool_checked({"mkntfs", "-q", "-F", "-f", image.string()});
    const auto tree = make_tree(folder);
    for (const std::string name : {"large", "er/file"}) {
        support::tool_checked({"ntfscp",
                               "-q",
                               "-f",
                               image.string(),
                               (tree / "etc/deep" / name).string(),
                               fs::path(name).filename().string()});
    }
}

void make_disk(const fs::path& folder, const fs::path& image)
{
    support::make_empty(image, 16 * mib);
    support::tool_checked({"sgdisk", "-n", "1:2048:+8M", "-n", "2:0:+2M", image.string()});
    const auto root = folder / "root";
    make_ext(folder, root, {"-t", "ext4"});
    auto content = read_file(image);
    content.replace(mib, 8 * mib, read_file(root));
    write_file(image, content);
}

void make_lvm(const fs::path& data, const fs::path& image)
{
    auto content = support::tool_checked({"xz", "-dc", (data / "images/lvm-pv1.xz").string()});
    content.resize(40 * mib);
    write_file(image, content);
}

void make(const std::string& kind,
          const fs::path& folder,
          const fs::path& image,
          const fs::path& data)
{
    if (kind == "ext4" || kind == "ext2") {
        make_ext(folder, image, {"-t", kind});
    } else if (kind == "ext3-journal") {
        make_dirty(folder, image);
    } else if (kind == "fat12" || kind == "fat32") {
        make_fat(folder, image, kind.substr(3));
    } else if (kind == "ntfs") {
        make_ntfs(folder, image);
    } else if (kind == "gpt") {
        make_disk(folder, image);
    } else if (kind == "lvm") {
        make_lvm(data, image);
    } else {
        support::tool_checked(
            {"mksquashfs", make_tree(folder).string(), image.string(), "-quiet", "-no-progress"});
    }
}

/// Places of bytes that are not zero: where the structure is.
std::vector<std::size_t> used_places(const std::string& content)
{
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < content.size(); ++i) {
        if (content[i] != '\0') {
            places.push_back(i);
        }
    }
    return places;
}

bool read_everything(std::unique_ptr<volume::Volume> disk)
{
    try {
        const auto tree = disk::open_root_here(std::move(disk));
        fuzz::visit_all(*tree);
        return true;
    } catch (const Error&) {
        return false;
    }
}

int run_kind(const std::string& kind, int count, const fs::path& data)
{
    const TemporaryFolder folder("mutated");
    const auto image = folder.path() / "image";
    make(kind, folder.path(), image, data);
    const auto content = read_file(image);
    if (!read_everything(std::make_unique<volume::MemoryVolume>(content)) &&
        kind != "lvm") { // whose volumes hold nothing
        std::fprintf(stderr, "%s: the sound image cannot be read\n", kind.c_str());
        return 1;
    }
    const auto places = used_places(content);
    std::mt19937 random(4711);
    int readable = 0;
    for (int round = 0; round < count; ++round) {
        auto damaged = content;
        // Half of them near the front, where the tables are.
        for (auto edits = 1 + random() % 12; edits > 0; --edits) {
            const std::size_t share = round % 2 == 0 ? places.size() : places.size() / 20 + 1;
            damaged[places[random() % share]] = static_cast<char>(random());
        }
        const std::clock_t before = std::clock();
        readable += read_everything(std::make_unique<volume::MemoryVolume>(damaged)) ? 1 : 0;
        if ((std::clock() - before) / CLOCKS_PER_SEC > 20) {
            std::fprintf(stderr, "%s: image %d takes too long\n", kind.c_str(), round);
            return 1;
        }
    }
    std::printf("%s: %d damaged images, %d still opened\n", kind.c_str(), count, readable);
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: mutated_images KIND COUNT DATA-FOLDER\n");
        return 2;
    }
    try {
        return run_kind(argv[1], std::stoi(argv[2]), argv[3]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
