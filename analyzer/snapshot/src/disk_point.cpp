#include "stemma/analyzer/disk_point.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/process.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/nbd/nbd.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/overlay.hpp"
#include "stemma/virt/xml.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <system_error>

#include "backup_job.hpp"
#include "memory_point.hpp"
#include "quiet.hpp"

namespace stemma::analyzer {

namespace fs = std::filesystem;

namespace {

/// A folder that QEMU, whoever it runs as, can put its socket into, and nobody can list.
void make_point_folder(const fs::path& folder)
{
    constexpr mode_t enter_and_write = 0733;
    if (::mkdir(folder.c_str(), enter_and_write) != 0 && errno != EEXIST) {
        throw system_error(errno, fmt::format("make the folder {}", folder.string()));
    }
    struct stat info {};
    if (::lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
        info.st_uid != ::geteuid()) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} belongs to somebody else", folder.string()));
    }
    if (::chmod(folder.c_str(), enter_and_write) != 0) {
        throw system_error(errno, fmt::format("set the mode of {}", folder.string()));
    }
}

constexpr auto merge_patience = std::chrono::minutes(10);

/// The first file of a disk that is none of our overlays; empty: there is no such disk.
std::string own_file(const std::vector<std::string>& files, const PointPlaces& places)
{
    for (const auto& file : files) {
        if (!places.is_overlay(file)) {
            return file;
        }
    }
    return {};
}

/// A VM whose guest still writes to overlays of ours (a killed call of libvirt's may have put one
/// upon another) goes on with its own disk; then nothing reads them.
void clear_overlays(const virt::Domain& domain,
                    const virt::DiskInfo& disk,
                    const PointPlaces& places)
{
    constexpr int most_merges = 8; // a job that was begun already may have another base
    for (int i = 0; i < most_merges; ++i) {
        const auto files = virt::files_of_disk(domain.xml(), disk.target);
        const auto base = own_file(files, places);
        if (files.empty() || base.empty() || base == files.front()) {
            break;
        }
        virt::merge_overlay(domain, disk.target, base, merge_patience);
    }
    const auto used = virt::files_of_disk(domain.xml(), disk.target);
    for (const auto& file : places.overlays()) {
        if (std::find(used.begin(), used.end(), file.string()) == used.end()) {
            std::error_code ignored;
            fs::remove(file, ignored);
        }
    }
}

void clear_job(const virt::Domain& domain,
               const virt::DiskInfo& disk,
               const PointPlaces& places,
               Log& log)
{
    // A killed snapshot's last call to libvirt goes on without it; what it does must be seen here.
    virt::settle(domain, disk.target);
    const auto job = domain.backup_xml();
    if (job && !is_ours(*job, places)) {
        throw Error(
            ErrorCode::conflict,
            fmt::format("a backup of {} that Stemma did not begin is under way", domain.name()),
            "wait for it to end, or end it with `virsh domjobabort`");
    }
    if (job) {
        log.info("ending the disk job of {} that a killed snapshot left", domain.name());
        end_backup(domain);
    }
    clear_overlays(domain, disk, places);
    remove_files(places);
}

} // namespace

std::vector<std::string> other_disks(const virt::DomainDescription& description,
                                     std::string_view target)
{
    std::vector<std::string> others;
    for (const auto& disk : description.disks) {
        if (disk.device == "disk" && !disk.read_only && disk.target != target) {
            others.push_back(disk.target);
        }
    }
    return others;
}

std::optional<PointMethod> point_method_from(std::string_view word) noexcept
{
    for (const auto method : {PointMethod::backup, PointMethod::external, PointMethod::stopped}) {
        if (to_string(method) == word) {
            return method;
        }
    }
    return std::nullopt;
}

std::string_view to_string(PointMethod method) noexcept
{
    switch (method) {
    case PointMethod::backup:
        return "backup";
    case PointMethod::external:
        return "external";
    case PointMethod::stopped:
        break;
    }
    return "stopped";
}

struct DiskPoint::Impl {
    virt::Domain domain;
    virt::DiskInfo disk;
    PointPlaces places;
    FileLock lock;
    Log& log;
    std::vector<fs::path> allow;
    PointMethod method = PointMethod::stopped;
    Time at{};
    bool quiesced = false;
    bool flushed = false;
    std::string uri;
    std::chrono::microseconds pause{0};
    std::optional<MemoryPoint> memory; ///< the last member: ends first

    Impl(const virt::Domain& the_domain,
         virt::DiskInfo the_disk,
         PointPlaces the_places,
         const Options& options)
        : domain(the_domain),
          disk(std::move(the_disk)),
          places(std::move(the_places)),
          lock(lock_point(places.lock, the_domain.name())),
          log(options.log),
          allow(options.allow)
    {
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    ~Impl()
    {
        memory.reset();
        if (method == PointMethod::stopped) {
            return;
        }
        try {
            end();
        } catch (const std::exception& error) {
            tell_failed_end(error);
        }
        remove_files(places);
    }

    void end()
    {
        if (method == PointMethod::backup) {
            end_backup(domain);
        } else {
            virt::merge_overlay(domain, disk.target, disk.source, merge_patience);
            std::error_code ignored;
            fs::remove(places.overlay, ignored);
        }
    }

    /// Called by the destructor: never throws.
    void tell_failed_end(const std::exception& error) noexcept
    {
        if (method == PointMethod::external) {
            log.warning("the guest still writes to {}: the VM's next snapshot merges it ({})",
                        places.overlay.string(),
                        error.what());
        } else {
            // The VM went away, or its host: then the job went with it.
            log.debug("the disk job ended by itself: {}", error.what());
        }
    }

    void begin(const virt::DomainDescription& description, const Options& options)
    {
        make_point_folder(places.folder);
        std::optional<Freeze> freeze;
        if (options.quiesce) {
            freeze.emplace(domain, log);
            quiesced = true;
        } else {
            // What changed in the last half minute is otherwise not on the disk yet.
            flushed = flush_guest(domain, description, options.clock, options.cancel, log);
            if (!flushed) {
                log.info("nobody in {} answers: what it changed in the last half minute may not be "
                         "on its disk yet",
                         domain.name());
            }
        }
        options.cancel.check();
        if (!options.make_memory_file) {
            at = options.clock.now();
            freeze_disk(description, options);
        } else {
            freeze_both(description, options);
        }
    }

    /// Made before the guest stands still: libvirt would do it while it does.
    void make_scratch() const
    {
        const auto told = run_checked({.argv = {"qemu-img",
                                                "info",
                                                "-U",
                                                "--output=json",
                                                "-f",
                                                disk.format.empty() ? "raw" : disk.format,
                                                disk.source}});
        const auto size = integer_member(parse_json(told.out, "qemu-img info"), "virtual-size");
        run_checked({.argv = {"qemu-img",
                              "create",
                              "-q",
                              "-f",
                              "qcow2",
                              places.scratch.string(),
                              std::to_string(size)}});
    }

    /// Disk and memory of one moment: the guest stands still from before the disk's point until
    /// QEMU, which saves its devices, lets it run.
    void freeze_both(const virt::DomainDescription& description, const Options& options)
    {
        const auto root = virt::parse_xml(domain.xml(), "libvirt's domain XML");
        memory.emplace(domain,
                       places.folder / "memory.sock",
                       options.make_memory_file(),
                       root.attribute_at("os/type", "machine"),
                       log);
        make_scratch();
        const ResumeGuard guard(uri, domain);
        const auto before = std::chrono::steady_clock::now();
        domain.suspend();
        at = options.clock.now();
        try {
            freeze_disk(description, options);
            memory->begin();
        } catch (...) {
            domain.resume();
            throw;
        }
        pause = std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::steady_clock::now() - before);
    }

    void freeze_disk(const virt::DomainDescription& description, const Options& options)
    {
        if (options.method != PointMethod::external) {
            try {
                domain.begin_backup(
                    backup_xml_for(description, disk, places), {}, fs::exists(places.scratch));
                method = PointMethod::backup;
                return;
            } catch (const Error& error) {
                if (options.method || error.code() == ErrorCode::conflict) {
                    throw;
                }
                log.info("{}: a backup is refused, an overlay is used instead ({})",
                         domain.name(),
                         error.message());
                remove_files(places);
            }
        }
        std::vector<std::string> others;
        for (const auto& other : description.disks) {
            if (other.target != disk.target) {
                others.push_back(other.target);
            }
        }
        virt::put_overlay(domain, disk.target, others, places.overlay.string());
        method = PointMethod::external;
    }
};

DiskPoint::DiskPoint(const virt::Connection& connection,
                     const virt::Domain& domain,
                     const virt::DomainDescription& description,
                     const Options& options)
{
    if (!virt::is_local(connection.uri())) {
        throw Error(
            ErrorCode::unsupported,
            fmt::format("{} runs on another machine ({}), whose disks are not read from here",
                        description.name,
                        virt::safe_uri(connection.uri())),
            "run this command on that machine");
    }
    make_work_folder(options.work_folder);
    const auto& disk = system_disk(description);
    PointPlaces places(options.work_folder, description.uuid, disk);
    impl_ = std::make_unique<Impl>(domain, disk, std::move(places), options);
    if (!domain.active()) {
        if (options.make_memory_file) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} does not run: it has no memory", description.name),
                        "leave --memory out");
        }
        if (!impl_->places.is_overlay(impl_->disk.source)) { // else the disk lies on them
            for (const auto& file : impl_->places.overlays()) {
                std::error_code ignored;
                fs::remove(file, ignored);
            }
        }
        remove_files(impl_->places);
        impl_->at = options.clock.now();
        return;
    }
    clear_job(domain, impl_->disk, impl_->places, options.log);
    impl_->disk = system_disk(virt::describe_domain(domain.xml())); // as it is now
    impl_->uri = connection.uri();
    impl_->begin(description, options);
}

DiskPoint::~DiskPoint() = default;
DiskPoint::DiskPoint(DiskPoint&& other) noexcept = default;
DiskPoint& DiskPoint::operator=(DiskPoint&& other) noexcept = default;

std::unique_ptr<volume::Volume> DiskPoint::open() const
{
    const auto name = fmt::format("{} of {}", impl_->disk.target, impl_->domain.name());
    if (impl_->method == PointMethod::backup) {
        return nbd::connect({impl_->places.socket, impl_->disk.target}, name);
    }
    disk::OpenOptions options;
    options.format = volume::container_format_from(format());
    options.allow = impl_->allow;
    options.check = false; // QEMU's own file, closed by QEMU
    return disk::open_disk(impl_->disk.source, options);
}

std::string DiskPoint::place() const
{
    if (impl_->method == PointMethod::backup) {
        return fmt::format(
            "nbd+unix:///{}?socket={}", impl_->disk.target, impl_->places.socket.string());
    }
    return impl_->disk.source;
}

std::string DiskPoint::format() const
{
    return impl_->method == PointMethod::backup || impl_->disk.format.empty() ? "raw"
                                                                              : impl_->disk.format;
}

PointMethod DiskPoint::method() const noexcept
{
    return impl_->method;
}

Time DiskPoint::at() const noexcept
{
    return impl_->at;
}

const std::string& DiskPoint::target() const noexcept
{
    return impl_->disk.target;
}

bool DiskPoint::quiesced() const noexcept
{
    return impl_->quiesced;
}

std::chrono::microseconds DiskPoint::pause() const noexcept
{
    return impl_->pause;
}

DiskPoint::Memory DiskPoint::finish_memory(const Cancel& cancel)
{
    impl_->memory->finish(cancel);
    return {impl_->memory->core().memory(), impl_->memory->core().pages()};
}

bool DiskPoint::flushed() const noexcept
{
    return impl_->flushed;
}

void clear_debris(const virt::Domain& domain,
                  const virt::DomainDescription& description,
                  const fs::path& work_folder,
                  Log& log)
{
    const auto& disk = system_disk(description);
    const PointPlaces places(work_folder, description.uuid, disk);
    make_work_folder(work_folder);
    const auto lock = lock_point(places.lock, description.name);
    if (domain.active()) {
        clear_job(domain, disk, places, log);
    } else {
        remove_files(places);
    }
}

} // namespace stemma::analyzer
