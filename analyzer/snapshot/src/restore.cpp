#include "stemma/analyzer/restore.hpp"

#include "stemma/analyzer/block_pool.hpp"
#include "stemma/analyzer/disk_point.hpp"
#include "stemma/analyzer/file_volume.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/uri.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include "backup_job.hpp"
#include "domain_copy.hpp"

namespace stemma::analyzer {

namespace fs = std::filesystem;

namespace {

const virt::DiskInfo& disk_of(const virt::DomainDescription& description, const std::string& target)
{
    const auto found = std::find_if(description.disks.begin(),
                                    description.disks.end(),
                                    [&](const auto& disk) { return disk.target == target; });
    if (found == description.disks.end() || found->type != "file" || found->source.empty()) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{} has no disk {} that is a file", description.name, target),
                    "write it where you want it: stemma snapshot export SNAPSHOT --disk FILE");
    }
    return *found;
}

/// The restored disk lies on what the VM's disk lies on now: it takes what differs alone, and stays
/// a child of its image. What the VM reads is what its definition and the files below it say.
void find_backing(const virt::DiskInfo& disk, RestorePlan& plan)
{
    constexpr std::size_t deepest = 32;
    fs::path file = disk.source;
    auto format = volume::container_format_from(disk.format);
    for (std::size_t depth = 0; depth < deepest; ++depth) {
        if (format != volume::ContainerFormat::qcow2 || !fs::exists(file)) {
            return;
        }
        const auto layer = volume::inspect_container(file, *format);
        if (!layer.backing || !layer.backing_format) {
            return;
        }
        file = normal_path(*layer.backing, file.parent_path());
        format = layer.backing_format;
        plan.backing_folders.push_back(file.parent_path());
        if (depth == 0) {
            plan.backing = file.string();
            plan.backing_format = std::string(volume::to_string(*format));
        }
    }
}

/// Where a new VM's disk goes: beside the other's, in a folder of its own where that one has one.
fs::path place_beside(const fs::path& disk, const std::string& vm_name, const RestorePlan& plan)
{
    constexpr std::size_t digits = 8; // a file of this name is of this snapshot and this VM
    const auto folder = disk.parent_path();
    const auto file = fmt::format("{}-{}.qcow2", plan.name, plan.uuid.substr(0, digits));
    return folder.filename() == vm_name ? folder.parent_path() / plan.name / file : folder / file;
}

void check_name(const std::string& name)
{
    const bool odd = name.empty() || name.size() > 64 || name.front() == '.' ||
                     name.front() == '-' ||
                     std::any_of(name.begin(), name.end(), [](unsigned char c) {
                         return std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.';
                     });
    if (odd) {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' cannot be a VM's name", printable(name)),
                    "use letters, digits, '-', '_' and '.', at most 64");
    }
}

std::string definition_of_source(const std::optional<virt::Domain>& domain,
                                 const RestoreSource& source)
{
    if (source.domain) {
        return *source.domain;
    }
    if (domain) {
        return domain->xml(virt::Domain::Which::next_start);
    }
    throw Error(ErrorCode::not_found,
                fmt::format("snapshot {} kept no definition of {}, which is gone",
                            source.snapshot,
                            source.vm_name),
                "write its disk to a file: stemma snapshot export SNAPSHOT --disk FILE");
}

RestorePlan plan_new(const virt::Connection& connection,
                     const RestoreSource& source,
                     const RestoreOptions& options)
{
    check_name(options.as);
    RestorePlan plan;
    plan.is_new = true;
    plan.name = options.as;
    plan.uuid = make_uuid5(stemma_uuid_space, "restored/" + source.snapshot + "/" + options.as);
    plan.format = "qcow2";
    if (const auto taken = connection.find_by_name(options.as)) {
        plan.is_there = taken->uuid() == plan.uuid;
        if (!plan.is_there) {
            throw Error(ErrorCode::conflict,
                        fmt::format("there is a VM {} already", options.as),
                        "choose another name for --as");
        }
    }
    const auto domain = connection.find_by_uuid(source.vm);
    const auto xml = definition_of_source(domain, source);
    const auto disk = disk_of(virt::describe_domain(xml), source.target);
    plan.disk = place_beside(disk.source, source.vm_name, plan);
    find_backing(disk, plan);
    const auto copy = copy_domain(xml,
                                  {.name = plan.name,
                                   .uuid = plan.uuid,
                                   .target = source.target,
                                   .disk = plan.disk.string(),
                                   .console = plan.disk.string() + ".console.log"});
    plan.definition = copy.xml;
    plan.left_out = copy.left_out;
    return plan;
}

RestorePlan plan_same(const virt::Connection& connection,
                      const RestoreSource& source,
                      const RestoreOptions& options)
{
    const auto domain = connection.find_by_uuid(source.vm);
    if (!domain) {
        throw Error(ErrorCode::not_found,
                    fmt::format("{} has no VM {} any more",
                                virt::safe_uri(connection.uri()),
                                source.vm_name),
                    "make a new one of the snapshot: --as NAME");
    }
    RestorePlan plan;
    plan.uuid = source.vm;
    plan.name = domain->name();
    plan.must_stop = domain->active();
    if (plan.must_stop && !options.stop) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} runs, and a restore replaces its disk", plan.name),
                    "stop it, or let it be stopped: --yes; or restore beside it: --as NAME");
    }
    const auto description = virt::describe_domain(domain->xml(virt::Domain::Which::next_start));
    const auto& disk = disk_of(description, source.target);
    plan.untouched = other_disks(description, source.target);
    plan.disk = disk.source;
    plan.format = disk.format == "qcow2" ? "qcow2" : "raw";
    find_backing(disk, plan);
    return plan;
}

/// Writes what differs from what `to` reads as now.
void copy_difference(volume::Volume& from, volume::Volume& to, const Cancel& cancel)
{
    constexpr std::uint64_t piece = 1U << 20U;
    constexpr std::uint64_t step = 64U << 10U; // what a qcow2 file grows by
    std::vector<std::byte> wanted(piece);
    std::vector<std::byte> there(piece);
    const auto all_zero = [](const std::vector<volume::Extent>& extents) {
        return std::all_of(
            extents.begin(), extents.end(), [](const auto& extent) { return extent.zero; });
    };
    for (std::uint64_t at = 0; at < from.size(); at += piece) {
        cancel.check();
        const auto length = std::min(piece, from.size() - at);
        if (all_zero(from.extents(at, length)) && all_zero(to.extents(at, length))) {
            continue;
        }
        from.read(at, std::span(wanted).first(length));
        to.read(at, std::span(there).first(length));
        for (std::uint64_t i = 0; i < length; i += step) {
            const auto count = std::min(step, length - i);
            const auto part = std::span<const std::byte>(wanted).subspan(i, count);
            if (!std::equal(part.begin(), part.end(), there.begin() + static_cast<long>(i))) {
                to.write(at + i, part);
            }
        }
    }
    to.flush();
}

void create_qcow2(const fs::path& file, const RestorePlan& plan, std::uint64_t size)
{
    std::vector<std::string> argv = {"qemu-img", "create", "-q", "-f", "qcow2"};
    if (!plan.backing.empty()) {
        argv.insert(argv.end(), {"-b", plan.backing, "-F", plan.backing_format});
    }
    argv.push_back(file.string());
    argv.push_back(std::to_string(size));
    run_checked({.argv = std::move(argv)});
}

void write_disk(const fs::path& file,
                const RestorePlan& plan,
                volume::Volume& kept,
                const Cancel& cancel)
{
    if (plan.format == "raw") {
        FileVolume to(file, kept.size());
        copy_content(kept, to, cancel);
        return;
    }
    create_qcow2(file, plan, kept.size());
    disk::OpenOptions open;
    open.format = volume::ContainerFormat::qcow2;
    open.allow = plan.backing_folders;
    open.writable = true;
    open.check = false; // made a moment ago
    const auto to = disk::open_disk(file, open);
    copy_difference(kept, *to, cancel);
}

/// The new file belongs to whom the old one belongs to: QEMU may run as somebody else.
void take_owner(const fs::path& file, const fs::path& old)
{
    struct stat info {};
    if (::stat(old.c_str(), &info) != 0) {
        return;
    }
    if (::chmod(file.c_str(), info.st_mode & 07777U) != 0 ||
        (::geteuid() == 0 && ::chown(file.c_str(), info.st_uid, info.st_gid) != 0)) {
        throw system_error(errno, fmt::format("give {} its owner", file.string()));
    }
}

void stop(const virt::Domain& domain, const Cancel& cancel, Log& log)
{
    using namespace std::chrono_literals;
    constexpr auto patience = 60s;
    log.info("stopping {}", domain.name());
    domain.ask_to_stop();
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (domain.active() && std::chrono::steady_clock::now() < deadline) {
        cancel.check();
        std::this_thread::sleep_for(200ms);
    }
    domain.destroy();
}

void flush_file(const fs::path& file)
{
    const auto fd = open_file(file.string(), O_RDONLY);
    if (::fsync(fd.get()) != 0) {
        throw system_error(errno, fmt::format("flush {}", file.string()));
    }
}

void make_folder(const fs::path& folder)
{
    std::error_code failure;
    fs::create_directories(folder, failure);
    if (failure) {
        throw system_error(failure.value(), fmt::format("make the folder {}", folder.string()));
    }
}

} // namespace

RestorePlan plan_restore(const virt::Connection& connection,
                         const RestoreSource& source,
                         const RestoreOptions& options)
{
    if (!virt::is_local(connection.uri())) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{} is another machine, whose disks are not written from here",
                                virt::safe_uri(connection.uri())),
                    "run this command on that machine, or take the disk there: stemma snapshot "
                    "export SNAPSHOT --disk FILE");
    }
    return options.as.empty() ? plan_same(connection, source, options)
                              : plan_new(connection, source, options);
}

void apply_restore(const virt::Connection& connection,
                   const RestorePlan& plan,
                   volume::Volume& kept,
                   const RestoreOptions& options,
                   const RestoreWorld& world)
{
    if (plan.is_there) {
        return;
    }
    const auto lock = lock_vm(options.work_folder, plan.uuid, plan.name);
    make_folder(plan.disk.parent_path());
    const fs::path beside =
        plan.disk.parent_path() / fmt::format(".stemma-restore-{}.part", plan.uuid);
    std::error_code ignored;
    try {
        fs::remove(beside, ignored); // of a run that was killed
        write_disk(beside, plan, kept, world.cancel);
        take_owner(beside, plan.disk);
        flush_file(beside);
        const auto domain = plan.is_new ? std::nullopt : connection.find_by_uuid(plan.uuid);
        const bool runs = domain && domain->active();
        if (runs && !options.stop) {
            throw Error(ErrorCode::conflict, plan.name + " was started meanwhile");
        }
        if (runs) {
            stop(*domain, world.cancel, world.log);
        }
        fs::rename(beside, plan.disk);
        sync_folder(plan.disk.parent_path());
    } catch (...) {
        fs::remove(beside, ignored);
        throw;
    }
    if (plan.is_new) {
        (void)connection.define(plan.definition);
    }
}

} // namespace stemma::analyzer
