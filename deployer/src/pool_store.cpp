#include "stemma/deployer/pool_store.hpp"

#include "stemma/core/clock.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/disk/disk.hpp"

#include <algorithm>
#include <map>

#include "blob_shelf.hpp"
#include "disk_names.hpp"
#include "pool_lease.hpp"

namespace stemma::deployer {

namespace {

namespace fs = std::filesystem;

/// A socket's path is at most 107 bytes; "/run~" and 16 digits take 21 of them.
constexpr std::size_t max_folder = 80;
constexpr std::uint64_t max_boot_file = std::uint64_t{1} << 28U;

constexpr std::string_view id_prefix = "store~";

std::string base_name(const std::string& digest)
{
    return "base~" + digest + ".raw";
}

std::string disk_name(const std::string& vm, const std::string& disk)
{
    return "vm~" + vm + "~" + disk;
}

std::string system_name(const VmSpec& spec)
{
    return disk_name(spec.name, "system-" + spec.image.digest.substr(0, 16) + ".qcow2");
}

std::string data_name(const VmSpec& spec, const DataDisk& disk)
{
    return disk_name(spec.name, data_disk_name(disk));
}

std::unique_ptr<volume::Volume> open_image(const ImageRef& image)
{
    if (!fs::exists(image.path)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("the file of image {} is gone: {}", image.name, image.path),
                    "import it again with `stemma image import`");
    }
    disk::OpenOptions options;
    options.format = volume::container_format_from(image.format);
    return disk::open_disk(image.path, options);
}

/// "vm~web-1~system-….qcow2" in its parts.
std::optional<ObservedHost::DiskFile> disk_from(const std::string& name, const std::string& path)
{
    const auto end = name.find('~', 3);
    if (!name.starts_with("vm~") || end == std::string::npos) {
        return std::nullopt;
    }
    const auto disk = name.substr(end + 1);
    const bool data = disk.starts_with(data_disk_beginning);
    if (!data && !disk.starts_with("system-")) {
        return std::nullopt;
    }
    return ObservedHost::DiskFile{.vm = name.substr(3, end - 3), .path = path, .data = data};
}

} // namespace

PoolStore::PoolStore(virt::StoragePool pool, Settings settings)
    : pool_(std::move(pool)),
      settings_(std::move(settings)),
      shelf_(std::make_unique<BlobShelf>(
          pool_, BlobShelf::Settings{.cancel = settings_.cancel, .moved = settings_.moved}))
{
    if (pool_.folder().size() > max_folder) {
        throw Error(ErrorCode::config,
                    fmt::format("the folder {} is too long: sockets in it would not fit ({} bytes "
                                "at most)",
                                pool_.folder(),
                                max_folder),
                    "give the host a shorter one: `stemma host add NAME URI --folder DIR`");
    }
}

PoolStore::~PoolStore() = default;

std::unique_ptr<Lease> PoolStore::lease(const std::string& release)
{
    return take_lease(pool_, settings_.host, release, settings_.cancel);
}

std::vector<std::string> PoolStore::end_leases(const std::string& release)
{
    return stemma::deployer::end_leases(pool_, release);
}

std::string PoolStore::path_of(const std::string& name) const
{
    return pool_.folder() + "/" + name;
}

std::string PoolStore::id()
{
    const auto marker = [&]() -> std::optional<std::string> {
        for (const auto& name : pool_.volume_names()) { // sorted: two made at once are one answer
            if (name.starts_with(id_prefix)) {
                return name.substr(id_prefix.size());
            }
        }
        return std::nullopt;
    };
    if (const auto known = marker()) {
        return *known;
    }
    pool_.refresh(); // another host that shares the folder may have made it
    if (!marker()) {
        (void)pool_.create(
            {.name = std::string(id_prefix) + make_uuid7(SystemClock().now()), .capacity = 1});
    }
    return marker().value();
}

VmPaths PoolStore::paths_of(const VmSpec& spec) const
{
    VmPaths paths;
    paths.system_disk = path_of(system_name(spec));
    for (const auto& disk : spec.data_disks) {
        paths.data_disks.push_back(path_of(data_name(spec, disk)));
    }
    paths.console = path_of(disk_name(spec.name, "console.log"));
    // With the host in it: while a VM moves between hosts that share the folder, both have one.
    paths.channel = path_of("run~" + sha256(spec.uuid + "/" + settings_.host).hex().substr(0, 16));
    if (spec.boot) {
        paths.kernel = path_of("boot~" + spec.boot->kernel_sha256);
        if (!spec.boot->initrd_sha256.empty()) {
            paths.initrd = path_of("boot~" + spec.boot->initrd_sha256);
        }
    }
    if (spec.seed) {
        paths.seed = path_of("boot~" + spec.seed->sha256);
    }
    return paths;
}

std::vector<ObservedHost::DiskFile> PoolStore::disks()
{
    std::vector<ObservedHost::DiskFile> found;
    for (const auto& name : pool_.volume_names()) {
        if (auto disk = disk_from(name, path_of(name))) {
            found.push_back(std::move(*disk));
        }
    }
    return found;
}

std::vector<StoredBase> PoolStore::bases()
{
    pool_.refresh(); // another host that shares the pool may have made files
    std::map<std::string, StoredBase> found;
    std::multimap<std::string, std::string> users;
    for (const auto& name : pool_.volume_names()) {
        const auto facts = facts_of(name);
        if (facts && name.starts_with("base~") && name.ends_with(".raw")) {
            found[facts->path] = {.digest = name.substr(5, name.size() - 9),
                                  .bytes = facts->allocation,
                                  .used_by = {}};
        } else if (facts && !facts->backing.empty()) {
            users.emplace(facts->backing, facts->path);
        }
    }
    std::vector<StoredBase> bases;
    bases.reserve(found.size());
    for (auto& [path, base] : found) {
        const auto readers = users.equal_range(path);
        for (auto user = readers.first; user != readers.second; ++user) {
            base.used_by.push_back(user->second);
        }
        bases.push_back(std::move(base));
    }
    return bases;
}

void PoolStore::remove_base(const std::string& digest)
{
    shelf_->remove(base_name(digest));
}

bool PoolStore::has_image(const ImageRef& image)
{
    std::error_code ignored;
    return fs::exists(image.path, ignored) || shelf_->is_proven(base_name(image.digest));
}

void PoolStore::provide_image(const ImageRef& image)
{
    Blob blob{.name = base_name(image.digest),
              .what = "image " + image.name,
              .digest = image.digest,
              .open = [&image] { return open_image(image); }};
    for (const auto& kin : image.kin) {
        std::error_code ignored;
        if (kin.digest != image.digest && fs::exists(kin.path, ignored)) {
            blob.kin.push_back(
                {.name = base_name(kin.digest), .open = [&kin] { return open_image(kin); }});
        }
    }
    shelf_->provide(blob);
}

void PoolStore::provide_boot_file(const std::string& path,
                                  const std::string& sha256,
                                  mode_t /*mode*/)
{
    shelf_->provide(
        {.name = "boot~" + sha256, .what = "boot file " + path, .digest = sha256, .open = [&path] {
             return std::make_unique<volume::MemoryVolume>(read_file(path, max_boot_file), path);
         }});
}

std::optional<virt::VolumeFacts> PoolStore::facts_of(const std::string& name) const
{
    const auto volume = pool_.volume(name);
    if (!volume) {
        return std::nullopt;
    }
    try {
        return volume->facts();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
        pool_.refresh(); // removed behind libvirt's back
        return std::nullopt;
    }
}

void PoolStore::make_overlay(const VmSpec& spec, const std::string& name)
{
    const auto base = path_of(base_name(spec.image.digest));
    const auto there = facts_of(name);
    if (there && there->format == "qcow2" && there->backing == base) {
        return;
    }
    if (there) { // cut short while it was made: nothing ever ran on it
        pool_.volume(name).value().remove();
    }
    (void)pool_.create({.name = name,
                        .capacity = spec.image.size,
                        .format = "qcow2",
                        .backing = base,
                        .backing_format = "raw"});
}

void PoolStore::make_data_disk(const DataDisk& disk, const std::string& name)
{
    const auto there = facts_of(name);
    if (!there) {
        (void)pool_.create({.name = name, .capacity = disk.size_mib << 20U, .format = "qcow2"});
    } else if (there->format != "qcow2") {
        throw Error(ErrorCode::corrupt,
                    "data disk " + there->path + " is no qcow2 file any more",
                    "restore it, or remove it when nothing was on it yet");
    }
}

void PoolStore::make_disks(const VmSpec& spec)
{
    make_overlay(spec, system_name(spec));
    for (const auto& disk : spec.data_disks) {
        make_data_disk(disk, data_name(spec, disk));
    }
}

void PoolStore::remove_disk(const std::string& path)
{
    const auto folder = pool_.folder() + "/";
    if (!path.starts_with(folder) || !disk_from(path.substr(folder.size()), path)) {
        throw Error(ErrorCode::usage, path + " is no disk of ours");
    }
    if (const auto volume = pool_.volume(path.substr(folder.size()))) {
        volume->remove();
    }
}

void PoolStore::forget(const std::string& vm_name)
{
    if (!is_name(vm_name)) {
        return;
    }
    pool_.refresh(); // QEMU made the log
    if (const auto log = pool_.volume(disk_name(vm_name, "console.log"))) {
        log->remove();
    }
}

} // namespace stemma::deployer
