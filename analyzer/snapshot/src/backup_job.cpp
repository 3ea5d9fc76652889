#include "backup_job.hpp"

#include "stemma/core/clock.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/virt/xml.hpp"

#include <chrono>
#include <system_error>
#include <thread>

namespace stemma::analyzer {

namespace fs = std::filesystem;

namespace {

/// These files may grow, and QEMU must be able to write them: beside the disk both holds.
fs::path beside(const virt::DiskInfo& disk, const fs::path& folder)
{
    return disk.type == "file" ? fs::path(disk.source).parent_path() : folder;
}

} // namespace

PointPlaces::PointPlaces(const fs::path& work_folder,
                         const std::string& uuid,
                         const virt::DiskInfo& disk)
    : folder(work_folder / uuid),
      lock(work_folder / (uuid + ".lock")),
      socket(folder / "nbd.sock"),
      scratch(beside(disk, folder) / (".stemma-scratch-" + uuid + ".qcow2")),
      overlay_stem_(".stemma-point-" + uuid)
{
    const auto part = make_uuid7(SystemClock().now()).substr(24); // random digits
    overlay = beside(disk, folder) / fmt::format("{}-{}.qcow2", overlay_stem_, part);
}

bool PointPlaces::is_overlay(const fs::path& file) const
{
    return file.parent_path() == overlay.parent_path() &&
           file.filename().string().starts_with(overlay_stem_);
}

std::vector<fs::path> PointPlaces::overlays() const
{
    std::vector<fs::path> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(overlay.parent_path(), ignored)) {
        if (is_overlay(entry.path())) {
            found.push_back(entry.path());
        }
    }
    return found;
}

void make_work_folder(const fs::path& folder)
{
    std::error_code failure;
    fs::create_directories(folder, failure);
    if (failure) {
        throw system_error(failure.value(), fmt::format("make the folder {}", folder.string()));
    }
    fs::permissions(
        folder, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec, failure);
}

FileLock lock_point(const fs::path& lock, const std::string& vm)
{
    try {
        return {lock, FileLock::Wait::no};
    } catch (const Error& error) {
        if (error.code() != ErrorCode::conflict) {
            throw;
        }
        throw Error(ErrorCode::conflict,
                    fmt::format("another snapshot of {} is under way", vm),
                    "wait for it to end, then run the same command again");
    }
}

FileLock lock_vm(const fs::path& work_folder, const std::string& uuid, const std::string& vm)
{
    make_work_folder(work_folder);
    return lock_point(work_folder / (uuid + ".lock"), vm);
}

const virt::DiskInfo& system_disk(const virt::DomainDescription& description)
{
    for (const auto& disk : description.disks) {
        const bool local = disk.type == "file" || disk.type == "block";
        if (disk.device == "disk" && local && !disk.source.empty()) {
            return disk;
        }
    }
    throw Error(ErrorCode::unsupported,
                fmt::format("{} has no disk that is a file or a block device of its host",
                            description.name));
}

std::string backup_xml_for(const virt::DomainDescription& description,
                           const virt::DiskInfo& disk,
                           const PointPlaces& places)
{
    virt::XmlWriter xml;
    xml.open("domainbackup", {{"mode", "pull"}});
    xml.empty("server", {{"transport", "unix"}, {"socket", places.socket.string()}});
    xml.open("disks");
    for (const auto& other : description.disks) {
        if (other.device != "disk" || other.target == disk.target) {
            continue;
        }
        xml.empty("disk", {{"name", other.target}, {"backup", "no"}});
    }
    xml.open(
        "disk",
        {{"name", disk.target}, {"backup", "yes"}, {"type", "file"}, {"exportname", disk.target}});
    xml.empty("driver", {{"type", "qcow2"}});
    xml.empty("scratch", {{"file", places.scratch.string()}});
    return xml.close().close().close().finish();
}

void end_backup(const virt::Domain& domain)
{
    using namespace std::chrono_literals;
    domain.abort_job();
    // libvirt ends it in its own time; until then it refuses the next one.
    for (int i = 0; i < 500 && domain.backup_xml(); ++i) {
        std::this_thread::sleep_for(20ms);
    }
}

void remove_files(const PointPlaces& places) noexcept
{
    std::error_code ignored;
    fs::remove(places.socket, ignored);
    fs::remove(places.scratch, ignored);
    fs::remove(places.folder / "memory.sock", ignored);
    fs::remove(places.folder, ignored);
}

bool is_ours(const std::string& backup_xml, const PointPlaces& places)
{
    const auto root = virt::parse_xml(backup_xml, "libvirt's backup job");
    return root.attribute_at("server", "socket") == places.socket.string();
}

} // namespace stemma::analyzer
