#include "stemma/image/transaction.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/disk/disk.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "disk_stream.hpp"
#include "disk_tool.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view work_prefix = ".work-";
constexpr std::string_view work_suffix = ".qcow2";
constexpr std::string_view lock_name = ".lock";

bool is_work_file(const fs::path& path)
{
    const auto name = path.filename().string();
    return name.starts_with(work_prefix) && name.ends_with(work_suffix);
}

void flush_to_disk(const fs::path& path)
{
    const Fd fd = open_file(path.string(), O_RDONLY);
    if (::fsync(fd.get()) != 0) {
        throw system_error(errno, fmt::format("flush {}", path.string()));
    }
}

/// Lets the kernel write while something else is done; publish() waits for the end of it.
void start_writing(const fs::path& path)
{
    const Fd fd = open_file(path.string(), O_RDWR);
    (void)::sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
}

Transaction::Published
publish(WorkFile& file, const fs::path& folder, const Digest& digest, std::uint64_t size)
{
    Transaction::Published published{.digest = digest,
                                     .path = folder / (digest.hex() + ".qcow2"),
                                     .size = size,
                                     .existed = false};
    if (fs::exists(published.path)) {
        published.existed = true; // the same content: the file that VMs may use already stays
        return published;
    }
    file.publish(published.path);
    return published;
}

} // namespace

WorkFile::WorkFile(const fs::path& folder)
{
    // Without this, another process could take the file for stale before its lock is held.
    const FileLock guard(folder / lock_name, FileLock::Wait::yes);
    std::string name = (folder / work_prefix).string() + "XXXXXX" + std::string(work_suffix);
    const int fd =
        ::mkostemps(name.data(), static_cast<int>(work_suffix.size()), O_CLOEXEC | O_RDWR);
    if (fd < 0) {
        throw system_error(errno, fmt::format("make a file in {}", folder.string()));
    }
    lock_ = Fd(fd);
    path_ = name;
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        throw system_error(errno, fmt::format("lock {}", name));
    }
}

WorkFile::~WorkFile()
{
    if (!path_.empty()) {
        ::unlink(path_.c_str());
    }
}

void WorkFile::publish(const fs::path& final_path)
{
    constexpr mode_t read_only = 0444; // an image version never changes
    ::chmod(path_.c_str(), read_only);
    flush_to_disk(path_);
    std::error_code problem;
    fs::rename(path_, final_path, problem);
    if (problem) {
        throw system_error(problem.value(), fmt::format("publish {}", final_path.string()));
    }
    path_.clear();
    lock_.reset();
    sync_folder(final_path.parent_path());
}

void clean_stale(const fs::path& folder, Log& log)
{
    const FileLock guard(folder / lock_name, FileLock::Wait::yes);
    std::error_code problem;
    for (const auto& entry : fs::directory_iterator(folder, problem)) {
        if (!is_work_file(entry.path())) {
            continue;
        }
        const Fd fd(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
        if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
            ::unlink(entry.path().c_str());
            log.debug("removed {}, left by a process that was killed", entry.path().string());
        }
    }
}

Digest digest_of(volume::Volume& disk)
{
    DiskStream stream(disk,
                      DiskStream::Digesting::no); // here, while the server fetches what follows
    Sha256 hash;
    while (const auto piece = stream.next()) {
        hash.update(piece->bytes);
    }
    return hash.finish();
}

Transaction::Transaction(const fs::path& folder,
                         const fs::path& base,
                         volume::ContainerFormat format,
                         Log& log,
                         std::optional<std::uint64_t> size)
    : folder_(fs::absolute(folder)), file_((clean_stale(folder_, log), folder_))
{
    if (fs::weakly_canonical(base).parent_path() != fs::weakly_canonical(folder_)) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} does not lie in {}", base.string(), folder_.string()));
    }
    // The name of the backing file is relative: the folder may be moved as a whole.
    Command command{.argv = {"qemu-img",
                             "create",
                             "-q",
                             "-f",
                             "qcow2",
                             "-F",
                             std::string(to_string(format)),
                             "-b",
                             base.filename().string(),
                             file_.path().string()}};
    if (size) {
        command.argv.push_back(std::to_string(*size));
    }
    const CommandResult result = run(command);
    if (!result.exit.success()) {
        refuse_disk_tool(result, fmt::format("make an overlay on {}", base.string()));
    }
    open();
}

void Transaction::open()
{
    disk_ = disk::open_disk(
        file_.path(),
        {.format = volume::ContainerFormat::qcow2, .writable = true, .durable = false});
}

void Transaction::lend(const std::function<void(const fs::path& file)>& work)
{
    disk_->flush();
    disk_.reset();
    work(file_.path());
    open();
}

Transaction::~Transaction()
{
    disk_.reset(); // qemu-nbd ends before its file goes
}

Transaction::Published Transaction::commit(const std::optional<Digest>& expected,
                                           const std::function<void()>& objection)
{
    disk_->flush();
    start_writing(file_.path());
    const std::uint64_t size = disk_->size();
    const Digest digest = digest_of(*disk_);
    disk_.reset();
    if (objection) {
        objection();
    }
    if (expected && digest != *expected) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("the new disk has the digest {}, and not {} as it should",
                                digest.hex(),
                                expected->hex()),
                    "nothing was published");
    }
    return publish(file_, folder_, digest, size);
}

Transaction::Published import_file(const fs::path& folder,
                                   const std::vector<volume::Container>& chain,
                                   const Cancel& cancel,
                                   Log& log)
{
    clean_stale(folder, log);
    WorkFile file(folder);
    const auto node = "json:" + volume::blockdev_json(chain, false, false);
    const CommandResult result =
        run({.argv = {"qemu-img", "convert", "-O", "qcow2", node, file.path().string()},
             .cancel = &cancel});
    cancel.check();
    if (!result.exit.success()) {
        refuse_disk_tool(result, fmt::format("copy {}", chain.front().path.string()));
    }
    auto disk =
        disk::open_disk(file.path(), {.format = volume::ContainerFormat::qcow2, .check = false});
    const std::uint64_t size = disk->size();
    const Digest digest = digest_of(*disk);
    disk.reset();
    return publish(file, folder, digest, size);
}

} // namespace stemma::image
