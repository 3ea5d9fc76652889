#include "stemma/hooks/session.hpp"

#include "stemma/hooks/content.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>

#include "process_info.hpp"
#include "session_process.hpp"
#include "tag.hpp"

namespace stemma::hooks {

namespace {

std::uint64_t monotonic_now() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec);
}

bool starts_with(std::string_view text, std::string_view prefix) noexcept
{
    return text.substr(0, prefix.size()) == prefix;
}

/// Not content: the kernel's own files, devices, and git's and our own book-keeping.
bool is_bookkeeping(std::string_view path) noexcept
{
    return starts_with(path, "/proc/") || starts_with(path, "/sys/") ||
           starts_with(path, "/dev/") || path.find("/.git/") != std::string_view::npos ||
           path.find("/.stemma/") != std::string_view::npos;
}

/// Where ccache keeps what it compiled: the copy that it hands out is what counts.
std::string cache_folder()
{
    const auto value = [](const char* name) {
        const char* text = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody writes it
        return std::string(text == nullptr ? "" : text);
    };
    auto folder = value("CCACHE_DIR");
    if (folder.empty()) {
        const auto home = value("HOME");
        const auto caches = value("XDG_CACHE_HOME");
        struct stat info {};
        folder = home + "/.ccache";
        if (::stat(folder.c_str(), &info) != 0) {
            folder = (caches.empty() ? home + "/.cache" : caches) + "/ccache";
        }
    }
    const auto real = real_path(folder);
    return (real.empty() ? folder : real) + "/";
}

} // namespace

Stamp stamp_of(const struct stat& info) noexcept
{
    Stamp stamp = 0xcbf29ce484222325U;
    const auto mix = [&stamp](std::uint64_t value) {
        stamp = (stamp ^ value) * 0x9e3779b97f4a7c15U;
        stamp ^= stamp >> 29U;
    };
    mix(info.st_dev);
    mix(info.st_ino);
    mix(static_cast<std::uint64_t>(info.st_size));
    mix(static_cast<std::uint64_t>(info.st_mtim.tv_sec));
    mix(static_cast<std::uint64_t>(info.st_mtim.tv_nsec));
    mix(static_cast<std::uint64_t>(info.st_ctim.tv_sec));
    mix(static_cast<std::uint64_t>(info.st_ctim.tv_nsec));
    return stamp;
}

bool is_system_path(std::string_view path) noexcept
{
    static constexpr std::array<std::string_view, 7> folders = {
        "/usr/", "/lib", "/bin/", "/sbin/", "/etc/", "/opt/", "/var/lib/"};
    if (starts_with(path, "/usr/src/") || starts_with(path, "/usr/local/src/")) {
        return false;
    }
    return std::any_of(
        folders.begin(), folders.end(), [&](auto folder) { return starts_with(path, folder); });
}

Session::Session(JournalWriter& journal) : journal_(journal), cache_folder_(cache_folder()) {}

bool Session::is_ignored(std::string_view path) const noexcept
{
    return is_bookkeeping(path) || starts_with(path, cache_folder_);
}

Session::~Session() = default;

void Session::root(pid_t pid, std::optional<Tag> tag)
{
    begin(pid, 0)->record.tag = std::move(tag);
}

void Session::ignore_stream(const struct stat& info)
{
    ignored_streams_.push_back({info.st_dev, info.st_ino});
}

Session::ProcessPtr Session::begin(pid_t pid, pid_t parent)
{
    auto process = std::make_shared<Process>();
    process->pid = pid;
    process->record.pid = pid;
    process->record.parent = parent;
    process->record.serial = next_serial_++;
    process->record.started = monotonic_now();
    if (const auto found = processes_.find(parent); found != processes_.end()) {
        auto& above = *found->second;
        above.has_children = true;
        process->record.parent_serial = above.record.serial;
        process->role = above.role;
        process->out = above.out;
        process->out_counts = above.out_counts;
        if (above.owner && !above.owner->ended) {
            process->owner = above.owner;
        } else if (swallows_children(above.role) && !above.ended) {
            process->owner = found->second;
        }
    }
    processes_[pid] = process;
    threads_[pid] = pid;
    return process;
}

Session::Process& Session::process_of(pid_t thread)
{
    if (const auto known = threads_.find(thread); known != threads_.end()) {
        if (const auto found = processes_.find(known->second); found != processes_.end()) {
            return *found->second;
        }
    }
    const auto family = family_of(thread);
    const pid_t pid = family ? family->process : thread;
    if (const auto found = processes_.find(pid); found != processes_.end()) {
        threads_[thread] = pid;
        found->second->threads.push_back(thread);
        return *found->second;
    }
    return *begin(pid, family ? family->parent : 0);
}

Session::Process& Session::owner_of(Process& process)
{
    return process.owner && !process.owner->ended ? *process.owner : process;
}

std::string Session::text_path(Process& process, int folder, std::string_view path)
{
    if (!path.empty() && path.front() == '/') {
        return std::string(path);
    }
    std::string base;
    if (folder == AT_FDCWD) {
        if (process.folder.empty()) {
            process.folder = link_of(process.pid, "cwd");
        }
        base = process.folder;
    } else {
        base = link_of(process.pid, "fd/" + std::to_string(folder));
    }
    if (base.empty() || base.front() != '/') {
        return {};
    }
    if (path.empty()) {
        return base;
    }
    return (base == "/" ? base : base + "/").append(path);
}

const std::string& Session::canonical(const std::string& text, const struct stat& info)
{
    auto& entry = canonical_[text];
    const StreamId file{info.st_dev, info.st_ino};
    if (entry.path.empty() || entry.file != file) {
        entry.file = file;
        entry.path = real_path(text);
        if (entry.path.empty()) {
            entry.path = text;
        }
    }
    return entry.path;
}

std::string Session::canonical_new(const std::string& text)
{
    const auto slash = text.rfind('/');
    const auto folder = text.substr(0, slash == 0 ? 1 : slash);
    struct stat info {};
    if (::stat(folder.c_str(), &info) != 0) {
        return text;
    }
    const auto& base = canonical(folder, info);
    return (base == "/" ? base : base + "/") + text.substr(slash + 1);
}

Session::Located Session::locate(Process& process, int folder, std::string_view path)
{
    Located file;
    file.path = text_path(process, folder, path);
    if (file.path.empty() || is_ignored(file.path)) {
        file.path.clear();
        return file;
    }
    if (::stat(file.path.c_str(), &file.info) != 0) {
        file.info = {};
        return file;
    }
    file.regular = S_ISREG(file.info.st_mode);
    if (file.regular) {
        file.path = canonical(file.path, file.info);
        if (is_ignored(file.path)) {
            file.regular = false;
            file.path.clear();
        }
    }
    return file;
}

VersionId Session::version_of(const Located& file, bool written)
{
    const VersionKey key{file.path, stamp_of(file.info)};
    const auto [found, fresh] = versions_.try_emplace(key, next_version_);
    if (fresh) {
        const auto id = next_version_++;
        journal_.add(
            Version{id, key.path, key.stamp, static_cast<std::uint64_t>(file.info.st_size)});
        if (written || !is_system_path(file.path)) {
            record_content(id, file, written);
        }
    }
    return found->second;
}

void Session::record_content(VersionId id, const Located& file, bool written)
{
    Content content;
    const Fd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    const auto unchanged = [&] {
        struct stat now {};
        return ::fstat(fd.get(), &now) == 0 && stamp_of(now) == stamp_of(file.info);
    };
    constexpr std::int64_t large = 1 << 20;
    const bool with_blob = !written || file.info.st_size < large;
    auto read = fd && unchanged() ? content_of(fd.get(), with_blob) : std::nullopt;
    if (read && unchanged()) {
        content = std::move(*read);
    } else {
        content.raced = true;
    }
    content.id = id;
    journal_.add(content);
}

void Session::read(Process& process, const Located& file, unsigned bits)
{
    auto& owner = owner_of(process);
    if (owner.writes.find(file.path) != owner.writes.end()) {
        owner.part_of(process).from.insert(owner.last_writer[file.path]);
        return;
    }
    const auto id = version_of(file, false);
    owner.accesses[id] |= bits;
    owner.part_of(process).reads.insert(id);
}

void Session::will_write(Process& process, const Located& file, int flags)
{
    auto& owner = owner_of(process);
    const std::string path = file.regular ? file.path : canonical_new(file.path);
    if (is_ignored(path)) {
        return;
    }
    owner.last_writer[path] = process.record.serial;
    if (owner.writes.find(path) != owner.writes.end()) {
        return;
    }
    Process::Write write;
    if (file.regular) {
        write.before = stamp_of(file.info);
        const bool keeps = (flags & O_TRUNC) == 0;
        write.only_if_changed = keeps;
        if (keeps && file.info.st_size > 0) {
            read(process, file, access_read); // what was there stays part of it
        }
    }
    owner.writes.emplace(path, write);
}

void Session::opens(pid_t thread, int folder, std::string_view path, int flags)
{
    auto& process = process_of(thread);
    const auto file = locate(process, folder, path);
    if (file.path.empty()) {
        return;
    }
    if ((flags & O_ACCMODE) == O_RDONLY && (flags & O_TRUNC) == 0) {
        if (file.regular) {
            read(process, file, access_read);
        } else if ((flags & O_CREAT) != 0 && file.info.st_mode == 0) {
            will_write(process, file, flags);
        }
        return;
    }
    if (file.regular || (file.info.st_mode == 0 && (flags & O_CREAT) != 0)) {
        will_write(process, file, flags);
    }
}

void Session::move_file(Process& process, const Located& from, const Located& to, bool keeps_source)
{
    if (!from.regular || to.path.empty()) {
        return;
    }
    auto& owner = owner_of(process);
    const auto own = owner.writes.find(from.path);
    read(process, from, access_read);
    if (own != owner.writes.end() && !keeps_source) {
        owner.writes.erase(own);
    }
    will_write(process, to, O_TRUNC);
}

void Session::renames(pid_t thread, Name from, Name to, bool must_be_new)
{
    auto& process = process_of(thread);
    const auto target = locate(process, to.folder, to.path);
    if (!must_be_new || !target.regular) {
        move_file(process, locate(process, from.folder, from.path), target, false);
    }
}

void Session::links(pid_t thread, Name from, Name to)
{
    auto& process = process_of(thread);
    const auto target = locate(process, to.folder, to.path);
    if (!target.regular) { // else the call will fail
        move_file(process, locate(process, from.folder, from.path), target, true);
    }
}

void Session::changes_folder(pid_t thread)
{
    process_of(thread).folder.clear();
}

void Session::look_at_streams(Process& process, Image& image)
{
    struct stat info {};
    const auto counts = [&](const struct stat& stream) {
        const StreamId id{stream.st_dev, stream.st_ino};
        return std::find(ignored_streams_.begin(), ignored_streams_.end(), id) ==
               ignored_streams_.end();
    };
    const auto located = [&](const char* name) {
        Located file;
        file.path = link_of(process.pid, name);
        file.info = info;
        file.regular = !file.path.empty() && file.path.front() == '/' && !is_ignored(file.path);
        return file;
    };
    if (stat_of(process.pid, "fd/0", info) && counts(info)) {
        if (S_ISFIFO(info.st_mode)) {
            image.pipe_in = info.st_ino;
        } else if (const auto file = located("fd/0"); S_ISREG(info.st_mode) && file.regular) {
            read(process, file, access_read | access_stdin);
        }
    }
    if (stat_of(process.pid, "fd/1", info)) {
        const StreamId out{info.st_dev, info.st_ino};
        const bool inherited = out == process.out;
        process.out_counts = counts(info) && (!inherited || process.out_counts);
        process.out = out;
        if (process.out_counts && S_ISFIFO(info.st_mode)) {
            image.pipe_out = info.st_ino;
        } else if (process.out_counts && S_ISREG(info.st_mode)) {
            if (const auto file = located("fd/1"); file.regular) {
                will_write(process, file, O_WRONLY);
            }
        }
    }
}

void Session::note_interpreter(Process& process, VersionId id, const std::string& path)
{
    const auto [found, fresh] = interpreters_.try_emplace(id);
    if (fresh) {
        found->second = interpreter_of(path);
    }
    const auto& interpreter = found->second;
    if (interpreter.program.empty()) {
        return;
    }
    // The kernel opens it by itself: no call of the process tells of it.
    const auto file = locate(process, AT_FDCWD, interpreter.program);
    if (file.regular) {
        owner_of(process).accesses[version_of(file, false)] |= access_exec;
    }
    if (role_of(interpreter.language, {}) == Role::shell) {
        process.role = Role::shell;
    }
}

void Session::become(Process& process, const Located& program, Image image)
{
    const auto role = role_of(program.path, image.argv);
    if (process.owner && starts_own_step(process.owner->role, role)) {
        process.owner->has_children = true;
        process.owner.reset();
    }
    const bool swallowed = process.owner && !process.owner->ended;
    if (auto tag = tag_of(image.argv)) {
        process.record.tag = std::move(tag);
        return;
    }
    auto& owner = owner_of(process);
    const auto id = version_of(program, false);
    owner.accesses[id] |= access_exec;
    owner.part_of(process).reads.insert(id);
    image.program = id;
    image.of_child = swallowed;
    look_at_streams(process, image);
    if (!swallowed) {
        const bool was_tool =
            process.record.images.empty() ? false : swallows_children(process.role);
        if (!was_tool) {
            process.role = role;
        }
        if (process.role == Role::other || process.role == Role::shell) {
            note_interpreter(process, id, program.path);
        }
        if (process.role == Role::scheduler) {
            process.out_counts = false; // what it runs prints there; it makes nothing of it
        }
    }
    expand_response_files(process, image);
    owner.part_of(process).images.push_back(owner.record.images.size());
    owner.record.images.push_back(std::move(image));
}

void Session::expand_response_files(const Process& process, Image& image)
{
    const bool takes_them = process.role == Role::compiler || process.role == Role::linker ||
                            process.role == Role::archiver;
    if (takes_them) {
        image.argv = expanded(std::move(image.argv), image.cwd);
    }
}

void Session::executes(pid_t thread,
                       int folder,
                       std::string_view path,
                       std::vector<std::string> argv)
{
    auto& process = process_of(thread);
    const auto program = locate(process, folder, path);
    constexpr mode_t any_execute = S_IXUSR | S_IXGRP | S_IXOTH;
    if (!program.regular || (program.info.st_mode & any_execute) == 0) {
        return;
    }
    Image image;
    image.argv = std::move(argv);
    if (process.folder.empty()) {
        process.folder = link_of(process.pid, "cwd");
    }
    image.cwd = process.folder;
    become(process, program, std::move(image));
}

void Session::settle_writes(Process& process)
{
    for (const auto& [path, write] : process.writes) {
        Located file;
        file.path = path;
        if (::stat(path.c_str(), &file.info) != 0 || !S_ISREG(file.info.st_mode) ||
            (write.only_if_changed && stamp_of(file.info) == write.before)) {
            continue;
        }
        const auto id = version_of(file, true);
        process.accesses[id] |= access_write;
        process.made[path] = id;
    }
    process.writes.clear();
}

void Session::write_records(Process& process)
{
    const auto groups = process.separate_outputs();
    for (const auto& group : groups) {
        ProcessRecord record = process.record;
        record.serial = next_serial_++;
        record.images.clear();
        for (std::size_t i = 0; i < process.record.images.size(); ++i) {
            if (group.images.count(i) != 0) {
                record.images.push_back(process.record.images[i]);
            }
        }
        for (const auto& [id, bits] : process.accesses) {
            const bool written = (bits & access_write) != 0;
            if (written ? group.outputs.count(id) != 0 : group.reads.count(id) != 0) {
                record.accesses.push_back({id, bits});
            }
        }
        record.sort_accesses();
        journal_.add(record);
    }
    if (!groups.empty()) {
        return;
    }
    process.record.accesses.reserve(process.accesses.size());
    for (const auto& [id, bits] : process.accesses) {
        process.record.accesses.push_back({id, bits});
    }
    process.record.sort_accesses();
    journal_.add(process.record);
}

void Session::end(Process& process, int code)
{
    if (process.ended) {
        return;
    }
    process.ended = true;
    process.record.ended = monotonic_now();
    process.record.exit = code;
    if (process.owner && !process.owner->ended) {
        return; // what it did is the tool's
    }
    settle_writes(process);
    if (process.accesses.empty() && !process.has_children && process.record.images.empty()) {
        return;
    }
    write_records(process);
    journal_.flush();
}

void Session::exits(pid_t thread, int code)
{
    auto& process = process_of(thread);
    const pid_t pid = process.pid;
    end(process, code);
    for (const pid_t other : process.threads) {
        threads_.erase(other);
    }
    threads_.erase(pid);
    processes_.erase(pid);
}

void Session::hole(pid_t thread, std::string_view reason)
{
    auto& process = process_of(thread);
    HoleRecord hole;
    hole.pid = process.pid;
    hole.program = link_of(process.pid, "exe");
    hole.reason = reason;
    journal_.add(hole);
}

void Session::finish()
{
    // Tools last: what runs below them is theirs. A process that is still here was killed, or goes
    // on after the build; neither said how it ended.
    std::vector<ProcessPtr> left;
    left.reserve(processes_.size());
    for (const auto& [pid, process] : processes_) {
        left.push_back(process);
    }
    std::sort(left.begin(), left.end(), [](const ProcessPtr& a, const ProcessPtr& b) {
        return a->record.serial > b->record.serial;
    });
    for (const auto& process : left) {
        end(*process, -1);
    }
    processes_.clear();
    threads_.clear();
}

} // namespace stemma::hooks
