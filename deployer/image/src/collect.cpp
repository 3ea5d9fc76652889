#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/image/library.hpp"

#include "record.hpp"
#include "stemma/image/transaction.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view extension = ".qcow2";

/// True while any process holds one of qemu's lock bytes (100 to 300) on the file: a VM, or a
/// reader.
bool in_use(const fs::path& path)
{
    const Fd fd = open_file(path.string(), O_RDONLY);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 100;
    lock.l_len = 200;
    // Open file description locks, as qemu takes them; asking needs no write permission.
    return ::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/// The digests of all files below an image that is to stay, itself included.
void keep_chain(World& world, const std::string& digest, std::set<std::string>& kept)
{
    const auto path = world.folder / (digest + std::string(extension));
    if (kept.count(digest) != 0 || !fs::exists(path)) {
        return;
    }
    for (const auto& file :
         disk::chain_of(path, {.format = volume::ContainerFormat::qcow2, .allow = world.allow})) {
        kept.insert(file.path.stem().string());
    }
}

std::set<std::string> digests_to_keep(World& world, const std::vector<fs::path>& files)
{
    std::set<std::string> kept;
    for (const fs::path& file : files) {
        const auto info = world.store.find_image(file.stem().string());
        if (info && !info->retired) {
            keep_chain(world, info->digest, kept);
        }
    }
    for (const auto& image : world.store.images()) {
        keep_chain(world, image.digest, kept);
    }
    for (const auto& vm : world.store.vms()) {
        keep_chain(world, vm.image, kept);
    }
    return kept;
}

std::vector<fs::path> image_files(const fs::path& folder)
{
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == extension &&
            Digest::from_hex(entry.path().stem().string())) {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

} // namespace

Collected collect(World& world, bool dry_run)
{
    make_folder(world.folder);
    Collected collected;
    if (!dry_run) {
        clean_stale(world.folder, world.log);
    }
    const auto files = image_files(world.folder);
    const auto kept = digests_to_keep(world, files);
    for (const fs::path& file : files) {
        world.cancel.check();
        if (kept.count(file.stem().string()) != 0) {
            continue;
        }
        struct stat info {};
        if (::stat(file.c_str(), &info) != 0) {
            continue;
        }
        Collected::File entry{.path = file,
                              .bytes = static_cast<std::uint64_t>(info.st_blocks) * 512,
                              .in_use = in_use(file)};
        if (!entry.in_use && !dry_run && ::unlink(file.c_str()) != 0) {
            throw system_error(errno, fmt::format("remove {}", file.string()));
        }
        collected.files.push_back(std::move(entry));
    }
    return collected;
}

} // namespace stemma::image
