#include "lanes.hpp"

#include "stemma/hooks/session.hpp"
#include "stemma/hooks/tools.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "../lane/layout.hpp"
#include "process_info.hpp"
#include "program_file.hpp"
#include "remote_memory.hpp"

namespace stemma::hooks {

namespace {

constexpr std::size_t most_logs = 1024;

/// Compilers proper and linkers: what opens hundreds of files, most of them not there.
bool opens_much(std::string_view program)
{
    static constexpr std::array<std::string_view, 16> names = {"cc1",
                                                               "cc1plus",
                                                               "cc1obj",
                                                               "cc1objplus",
                                                               "f951",
                                                               "gnat1",
                                                               "d21",
                                                               "lto1",
                                                               "ld",
                                                               "ld.bfd",
                                                               "ld.gold",
                                                               "ld.lld",
                                                               "lld",
                                                               "clang",
                                                               "clang++",
                                                               "rustc"};
    const auto name = plain_tool_name(program);
    return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace

/// One log, and how far it is read.
struct Lanes::Log {
    Fd memory;
    char* begin = nullptr;
    pid_t owner = 0; ///< 0: free
    std::uint64_t round = 0;
    std::uint64_t done = sizeof(lane::LogHead);

    Log() = default;
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    ~Log()
    {
        if (begin != nullptr) {
            ::munmap(begin, lane::log_bytes);
        }
    }

    /// False when there is no memory for it.
    bool make()
    {
        memory = Fd(::memfd_create("stemma-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        // Sealed: a process that cuts it must not take our pages away.
        if (!memory || ::ftruncate(memory.get(), lane::log_bytes) != 0 ||
            ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
            return false;
        }
        void* place =
            ::mmap(nullptr, lane::log_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
        begin = place == MAP_FAILED ? nullptr : static_cast<char*>(place);
        return begin != nullptr;
    }

    [[nodiscard]] std::uint64_t& tail() const
    {
        return reinterpret_cast<lane::LogHead*>(begin)->tail;
    }

    void give(pid_t process)
    {
        owner = process;
        round = 0;
        done = sizeof(lane::LogHead);
        __atomic_store_n(&tail(), done, __ATOMIC_RELEASE);
    }
};

Lanes::Lanes(std::string library) : library_(std::move(library))
{
    if (!library_.empty() && ::stat(library_.c_str(), &library_info_) != 0) {
        library_.clear();
    }
}

Lanes::~Lanes() = default;

bool Lanes::sees_library(pid_t process) const
{
    struct stat own {};
    struct stat seen {};
    // Another user might not be allowed to read it, another root folder might not have it.
    return stat_of(process, "", own) && own.st_uid == ::geteuid() && own.st_gid == ::getegid() &&
           stat_of(process, "root" + library_, seen) && seen.st_ino == library_info_.st_ino &&
           seen.st_dev == library_info_.st_dev;
}

bool Lanes::takes_lane(pid_t process, const std::string& program)
{
    if (!opens_much(program) || !is_system_path(program)) {
        return false;
    }
    const auto known = std::find_if(known_programs_.begin(),
                                    known_programs_.end(),
                                    [&](const auto& row) { return row.first == program; });
    if (known != known_programs_.end()) {
        return known->second && sees_library(process);
    }
    known_programs_.emplace_back(program,
                                 loading_of(program, ::geteuid(), ::getegid()) == Loading::loaded);
    return known_programs_.back().second && sees_library(process);
}

void Lanes::invite(pid_t process,
                   pid_t parent,
                   const std::string& program,
                   std::uint64_t environment)
{
    if (library_.empty() || !takes_lane(process, program)) {
        return;
    }
    const std::string loud = std::string(lane::loud_name) + "=";
    const std::string idle = std::string(lane::idle_name) + "=" + library_;
    std::uint64_t place = 0;
    bool has_own = false;
    const bool read = visit_texts(
        process, environment, false, [&](std::uint64_t address, const std::string& variable) {
            has_own = has_own || variable.starts_with(loud);
            place = variable == idle ? address : place;
        });
    if (!read || has_own || place == 0) {
        return;
    }
    if (write_bytes(process, place, lane::loud_name, lane::name_size)) {
        invitations_.push_back({process, parent, place});
    }
}

void Lanes::withdraw(pid_t process, std::uint64_t address) const
{
    const std::string loud = std::string(lane::loud_name) + "=" + library_;
    std::string found(loud.size() + 1, '\0');
    // Only where it still stands in full: this memory may have become something else.
    if (read_bytes(process, address, found.data(), found.size()) &&
        found.compare(0, loud.size(), loud) == 0 && found.back() == '\0') {
        write_bytes(process, address, lane::idle_name, lane::name_size);
    }
}

void Lanes::settle()
{
    for (const auto& invitation : invitations_) {
        withdraw(invitation.process, invitation.address);
        if (invitation.parent > 0) {
            withdraw(invitation.parent, invitation.address);
        }
    }
    invitations_.clear();
}

bool Lanes::is_hello(std::string_view path) noexcept
{
    return path == lane::hello_path;
}

Lanes::Log* Lanes::log_for(pid_t process)
{
    Log* free_one = nullptr;
    for (const auto& log : logs_) {
        if (log->owner == process) {
            return log.get();
        }
        free_one = log->owner == 0 ? log.get() : free_one;
    }
    if (free_one != nullptr || logs_.size() >= most_logs) {
        return free_one;
    }
    auto log = std::make_unique<Log>();
    if (!log->make()) {
        return nullptr;
    }
    logs_.push_back(std::move(log));
    return logs_.back().get();
}

bool Lanes::grant(int listener, std::uint64_t request, pid_t process)
{
    auto* log = library_.empty() ? nullptr : log_for(process);
    if (log == nullptr) {
        return false;
    }
    log->give(process);
    seccomp_notif_addfd gift{};
    gift.id = request;
    gift.flags = SECCOMP_ADDFD_FLAG_SEND; // Linux 5.14; before, the library stays idle
    gift.srcfd = static_cast<std::uint32_t>(log->memory.get());
    gift.newfd_flags = O_CLOEXEC;
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &gift) < 0) {
        log->owner = 0;
        return false;
    }
    return true;
}

void Lanes::read_log(Log& log, const Opened& opened)
{
    constexpr std::uint64_t low_half = 0xffffffffU;
    const std::uint64_t tail = __atomic_load_n(&log.tail(), __ATOMIC_ACQUIRE);
    const std::uint64_t end = std::min<std::uint64_t>(tail & low_half, lane::log_bytes);
    if (tail >> 32U != log.round) {
        log.round = tail >> 32U;
        log.done = sizeof(lane::LogHead);
    }
    while (log.done + sizeof(lane::LogEntry) <= end) {
        // Copied first: the process may write there at any time.
        lane::LogEntry entry{};
        std::memcpy(&entry, log.begin + log.done, sizeof entry);
        if (entry.size < sizeof entry || entry.size > end - log.done ||
            entry.path_size > entry.size - sizeof entry) {
            log.done = end; // a program wrote over its own log
            return;
        }
        const std::string path(log.begin + log.done + sizeof entry, entry.path_size);
        log.done += entry.size;
        struct stat info {};
        info.st_mode = S_IFREG;
        info.st_dev = entry.device;
        info.st_ino = entry.inode;
        info.st_size = static_cast<off_t>(entry.bytes);
        info.st_mtim = {static_cast<time_t>(entry.mtime_s), static_cast<long>(entry.mtime_ns)};
        info.st_ctim = {static_cast<time_t>(entry.ctime_s), static_cast<long>(entry.ctime_ns)};
        opened(log.owner, path, info);
    }
}

void Lanes::read(const Opened& opened)
{
    for (const auto& log : logs_) {
        if (log->owner != 0) {
            read_log(*log, opened);
        }
    }
}

void Lanes::release(pid_t process)
{
    for (const auto& log : logs_) {
        if (log->owner == process) {
            log->owner = 0;
        }
    }
}

} // namespace stemma::hooks
