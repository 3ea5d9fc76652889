#include "stemma/deployer/host_store.hpp"

#include "stemma/core/clock.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/disk/disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "disk_names.hpp"
#include "shipping.hpp"

namespace stemma::deployer {

namespace {

namespace fs = std::filesystem;

/// A socket's path is at most 107 bytes; "run/" and a UUID take 41 of them.
constexpr std::size_t max_folder = 64;
constexpr std::string_view console_name = "console.log";

fs::path part_of(const fs::path& path)
{
    return path.string() + ".part";
}

void rename_into_place(const fs::path& part, const fs::path& path)
{
    std::error_code error;
    fs::rename(part, path, error);
    if (error) {
        throw system_error(error.value(), "name " + path.string());
    }
}

void make_folder(const fs::path& path)
{
    std::error_code error;
    fs::create_directories(path, error);
    if (error) {
        throw system_error(error.value(), "make the folder " + path.string());
    }
}

void qemu_img_create(const fs::path& path, const std::vector<std::string>& arguments)
{
    const auto part = part_of(path);
    std::error_code ignored;
    fs::remove(part, ignored);
    std::vector<std::string> argv{"qemu-img", "create", "-q", "-f", "qcow2"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    // The size, when there is one, stands after the file's name.
    const bool sized = !arguments.empty() && arguments.back().ends_with("M");
    argv.insert(sized ? argv.end() - 1 : argv.end(), part.string());
    run_checked({.argv = argv});
    rename_into_place(part, path);
}

/// A disk is never made smaller: what is in its last part would be gone.
void grow(const fs::path& path, std::uint64_t size_mib)
{
    const auto now = volume::inspect_container(path, volume::ContainerFormat::qcow2).virtual_size;
    if (now < size_mib << 20U) {
        run_checked({.argv = {"qemu-img",
                              "resize",
                              "-q",
                              "-f",
                              "qcow2",
                              path.string(),
                              fmt::format("{}M", size_mib)}});
    }
}

/// What must be the same for a proof to hold: nobody wrote to the file, or replaced it.
Json identity_of(const fs::path& path)
{
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        throw system_error(errno, "look at " + path.string());
    }
    return {{"inode", status.st_ino},
            {"mtime_ns", status.st_mtim.tv_nsec},
            {"mtime_s", status.st_mtim.tv_sec},
            {"size", status.st_size}};
}

/// The file that an overlay lies on; empty when that cannot be read. A data disk names itself.
std::string backing_of(const fs::path& path)
{
    try {
        return volume::inspect_container(path, volume::ContainerFormat::qcow2)
            .backing.value_or(path.string());
    } catch (const Error&) {
        return {};
    }
}

fs::path proof_path(const fs::path& base)
{
    return fs::path(base).replace_extension(".proof");
}

/// nullopt when there is none; an unreadable one is none.
std::optional<Json> read_proof(const fs::path& base)
{
    const auto path = proof_path(base);
    if (!fs::exists(path)) {
        return std::nullopt;
    }
    try {
        return parse_json(read_file(path, 4096), path.string());
    } catch (const Error&) {
        return std::nullopt;
    }
}

bool is_standalone(const ImageRef& image)
{
    if (image.format == "raw") {
        return true;
    }
    const auto format = volume::container_format_from(image.format);
    return format && !volume::inspect_container(image.path, *format).backing;
}

} // namespace

std::string digest_of_disk(const fs::path& path, const std::string& format, const Cancel* cancel)
{
    disk::OpenOptions options;
    options.format = volume::container_format_from(format);
    const auto volume = disk::open_disk(path, options);
    Sha256 hash;
    volume::read_through(*volume, 0, volume->size(), [&](std::span<const std::byte> piece) {
        if (cancel != nullptr) {
            cancel->check();
        }
        hash.update(piece);
    });
    return hash.finish().hex();
}

FolderStore::FolderStore(fs::path folder, DiskDigester digester)
    : folder_(std::move(folder)), digester_(std::move(digester))
{
    if (folder_.string().size() > max_folder) {
        throw Error(ErrorCode::config,
                    fmt::format("the folder {} is too long: sockets in it would not fit ({} bytes "
                                "at most)",
                                folder_.string(),
                                max_folder),
                    "give the host a shorter one: `stemma host add NAME URI --folder DIR`");
    }
}

fs::path FolderStore::base_path(const ImageRef& image) const
{
    return folder_ / "images" / (image.digest + (image.format == "raw" ? ".raw" : ".qcow2"));
}

std::string FolderStore::id()
{
    const auto path = folder_ / "store.id";
    if (!fs::exists(path)) {
        make_folder(folder_);
        const FileLock lock(folder_ / "store.id.lock", FileLock::Wait::yes);
        if (!fs::exists(path)) {
            write_file(path, make_uuid7(SystemClock().now()));
        }
    }
    return read_file(path, 4096);
}

VmPaths FolderStore::paths_of(const VmSpec& spec) const
{
    const auto vm = folder_ / "vms" / spec.name;
    VmPaths paths;
    paths.system_disk = vm / ("system-" + spec.image.digest.substr(0, 16) + ".qcow2");
    for (const auto& disk : spec.data_disks) {
        paths.data_disks.push_back(vm / data_disk_name(disk));
    }
    paths.console = vm / console_name;
    paths.channel = folder_ / "run" / spec.uuid;
    if (spec.boot) {
        paths.kernel = folder_ / "boot" / spec.boot->kernel_sha256;
        if (!spec.boot->initrd_sha256.empty()) {
            paths.initrd = folder_ / "boot" / spec.boot->initrd_sha256;
        }
    }
    if (spec.seed) {
        paths.seed = folder_ / "boot" / spec.seed->sha256;
    }
    return paths;
}

std::vector<ObservedHost::DiskFile> FolderStore::disks()
{
    std::vector<ObservedHost::DiskFile> found;
    std::error_code error;
    for (const auto& vm : fs::directory_iterator(folder_ / "vms", error)) {
        for (const auto& file : fs::directory_iterator(vm.path(), error)) {
            const auto name = file.path().filename().string();
            if (name == console_name || !file.is_regular_file(error)) {
                continue;
            }
            // Of what is not ours nobody knows what it is good for.
            const bool spare = name.starts_with("system-") || name.ends_with(".part");
            found.push_back({.vm = vm.path().filename().string(),
                             .path = file.path().string(),
                             .data = !spare});
        }
    }
    std::ranges::sort(found, {}, &ObservedHost::DiskFile::path);
    return found;
}

std::vector<StoredBase> FolderStore::bases()
{
    std::multimap<std::string, std::string> users;
    for (const auto& disk : disks()) {
        users.emplace(backing_of(disk.path), disk.path);
    }
    std::map<std::string, StoredBase> found;
    std::error_code error;
    for (const auto& file : fs::directory_iterator(folder_ / "images", error)) {
        const auto& path = file.path();
        if (path.extension() != ".qcow2" && path.extension() != ".raw") {
            continue;
        }
        auto& base = found[path.stem()];
        base.digest = path.stem();
        struct stat status {};
        if (::stat(path.c_str(), &status) == 0) {
            base.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
        }
        for (const auto& key : {path.string(), std::string()}) {
            const auto readers = users.equal_range(key);
            for (auto user = readers.first; user != readers.second; ++user) {
                base.used_by.push_back(user->second);
            }
        }
    }
    std::vector<StoredBase> bases;
    bases.reserve(found.size());
    for (auto& [digest, base] : found) {
        bases.push_back(std::move(base));
    }
    return bases;
}

void FolderStore::remove_base(const std::string& digest)
{
    if (!Digest::from_hex(digest)) {
        throw Error(ErrorCode::usage, digest + " is no digest");
    }
    for (const auto* ending : {".qcow2", ".raw", ".proof"}) {
        std::error_code error;
        fs::remove(folder_ / "images" / (digest + ending), error);
        if (error) {
            throw system_error(error.value(), "remove base " + digest);
        }
    }
}

std::vector<std::string> FolderStore::changed_bases()
{
    std::vector<std::string> changed;
    std::error_code error;
    for (const auto& file : fs::directory_iterator(folder_ / "images", error)) {
        const auto& base = file.path();
        if (base.extension() != ".qcow2" && base.extension() != ".raw") {
            continue;
        }
        const auto proof = read_proof(base);
        if (proof && *proof != identity_of(base)) {
            changed.push_back(base.stem().string());
        }
    }
    std::ranges::sort(changed);
    return changed;
}

bool FolderStore::has_image(const ImageRef& image)
{
    std::error_code ignored;
    return fs::exists(base_path(image), ignored) || fs::exists(image.path, ignored);
}

void FolderStore::bring_image(const ImageRef& image, const fs::path& base) const
{
    const auto part = part_of(base);
    std::error_code ignored;
    fs::remove(part, ignored);
    if (!fs::exists(image.path)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("the file of image {} is gone: {}", image.name, image.path),
                    "import it again with `stemma image import`");
    }
    if (!is_standalone(image)) {
        // A base must not lean on files that others may remove.
        run_checked({.argv = {"qemu-img",
                              "convert",
                              "-f",
                              image.format,
                              "-O",
                              "qcow2",
                              image.path,
                              part.string()}});
    } else {
        // A copy and no hard link: whoever writes to the original in place would change the disks
        // of running VMs.
        run_checked(
            {.argv = {"cp", "--reflink=auto", "--sparse=always", "--", image.path, part.string()}});
    }
    rename_into_place(part, base);
}

void FolderStore::prove(const ImageRef& image, const fs::path& base) const
{
    const auto identity = identity_of(base);
    if (const auto proof = read_proof(base); proof && *proof == identity) {
        return;
    }
    const auto format = base.extension() == ".raw" ? "raw" : "qcow2";
    const auto digest = digester_(base, format);
    expect_digest(
        fmt::format("the base {} of image {}", base.string(), image.name), digest, image.digest);
    write_file(proof_path(base), canonical_json(identity));
}

void FolderStore::provide_image(const ImageRef& image)
{
    make_folder(folder_ / "images");
    const auto base = base_path(image);
    if (!fs::exists(base)) {
        doing([&] { bring_image(image, base); }, "bringing image {} to the host", image.name);
    }
    prove(image, base);
}

void FolderStore::provide_boot_file(const std::string& path, const std::string& sha256, mode_t mode)
{
    const auto target = folder_ / "boot" / sha256;
    if (fs::exists(target)) {
        return;
    }
    make_folder(folder_ / "boot");
    const auto content = read_file(path, std::uint64_t{1} << 28U);
    if (stemma::sha256(content).hex() != sha256) {
        throw Error(ErrorCode::conflict, path + " changed since the plan was made");
    }
    write_file(target, content, mode);
}

void FolderStore::make_disks(const VmSpec& spec)
{
    const auto paths = paths_of(spec);
    make_folder(folder_ / "vms" / spec.name);
    make_folder(folder_ / "run");
    if (!fs::exists(paths.system_disk)) {
        const auto base = base_path(spec.image);
        std::vector<std::string> arguments{
            "-F", base.extension() == ".raw" ? "raw" : "qcow2", "-b", base.string()};
        if (spec.system_disk_mib != 0) {
            arguments.push_back(fmt::format("{}M", spec.system_disk_mib));
        }
        qemu_img_create(paths.system_disk, arguments);
    } else if (spec.system_disk_mib != 0) {
        grow(paths.system_disk, spec.system_disk_mib);
    }
    for (std::size_t i = 0; i < spec.data_disks.size(); ++i) {
        if (!fs::exists(paths.data_disks[i])) {
            qemu_img_create(paths.data_disks[i], {fmt::format("{}M", spec.data_disks[i].size_mib)});
        } else {
            grow(paths.data_disks[i], spec.data_disks[i].size_mib);
        }
    }
}

void FolderStore::remove_disk(const std::string& path)
{
    const auto normal = fs::path(path).lexically_normal();
    const auto relative = normal.lexically_relative(folder_ / "vms");
    if (relative.empty() || *relative.begin() == ".." || relative.is_absolute()) {
        throw Error(ErrorCode::usage, path + " is no disk of ours");
    }
    std::error_code error;
    fs::remove(normal, error);
    if (error) {
        throw system_error(error.value(), "remove " + normal.string());
    }
}

void FolderStore::forget(const std::string& vm_name)
{
    if (!is_name(vm_name)) {
        return;
    }
    const auto folder = folder_ / "vms" / vm_name;
    std::error_code ignored;
    fs::remove(folder / console_name, ignored);
    fs::remove(folder, ignored); // only when empty
}

} // namespace stemma::deployer
