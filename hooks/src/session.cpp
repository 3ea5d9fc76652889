#include "stemma/hooks/session.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "process_info.hpp"
#include "session_process.hpp"
#include "tag.hpp"

namespace stemma::hooks {

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

void Session::read(Process& process, const Located& file, unsigned bits)
{
    auto& owner = owner_of(process);
    if (const auto own = owner.writes.find(file.path); own != owner.writes.end()) {
        owner.part_of(process).from.insert(owner.last_writer[file.path]);
        const auto before = own->second.only_if_changed ? own->second.before : 0;
        if (changed_in_place(owner, before, file)) {
            note_written(owner, file);
        }
        return;
    }
    if (const auto writer = writing_.find(file.path); writer != writing_.end()) {
        // It may be gone when its writer ends: generated, compiled, deleted by one program.
        const auto from = writer->second.lock();
        if (from && !from->ended && from->wrote(file.path, stamp_of(file.info))) {
            note_written(*from, file);
        }
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
    forget_written(path);
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
    const auto self = processes_.find(owner.pid);
    const bool builds = owner.role == Role::scheduler || owner.role == Role::other;
    if (self != processes_.end() && builds) {
        writing_[path] = self->second;
    }
}

/// Of what builds a tree in one long process, the moments between count too: "go build" signs what
/// its linker wrote, and renames it then.
bool Session::changed_in_place(const Process& owner, Stamp before, const Located& file)
{
    return before != 0 && !swallows_children(owner.role) && file.regular &&
           stamp_of(file.info) != before;
}

void Session::note_written(Process& owner, const Located& file)
{
    const auto id = version_of(file, true);
    owner.accesses[id] |= access_write;
    owner.made[file.path] = id;
}

void Session::opens(pid_t thread, int folder, std::string_view path, int flags)
{
    auto& process = process_of(thread);
    if (read_again(process, path, flags)) {
        return;
    }
    const auto file = locate(process, folder, path);
    if (file.path.empty()) {
        return;
    }
    if ((flags & O_ACCMODE) == O_RDONLY && (flags & O_TRUNC) == 0) {
        if (file.regular) {
            read(process, file, access_read);
            remember(path, file);
        } else if ((flags & O_CREAT) != 0 && file.info.st_mode == 0) {
            will_write(process, file, flags);
        }
        return;
    }
    if (file.regular || (file.info.st_mode == 0 && (flags & O_CREAT) != 0)) {
        will_write(process, file, flags);
    }
}

void Session::opened(pid_t thread, std::string_view path, const struct stat& info)
{
    auto& process = process_of(thread);
    Located file;
    file.path = text_path(process, AT_FDCWD, path);
    file.info = info;
    if (file.path.empty() || is_ignored(file.path)) {
        return;
    }
    settle_name(file);
    if (file.regular) {
        read(process, file, access_read);
    }
}

void Session::move_file(Process& process, const Located& from, const Located& to, bool keeps_source)
{
    if (to.path.empty()) {
        return;
    }
    if (from.path.empty()) { // out of a cache: where it comes from is no content of the build
        will_write(process, to, O_TRUNC);
        return;
    }
    if (!from.regular) {
        return;
    }
    if (!keeps_source) {
        forget_written(from.path);
    }
    auto& owner = owner_of(process);
    read(process, from, access_read);
    const auto own = owner.writes.find(from.path);
    if (own != owner.writes.end() && !keeps_source) {
        owner.writes.erase(own);
    }
    will_write(process, to, O_TRUNC);
}

void Session::renames(pid_t thread, Name from, Name to, bool must_be_new)
{
    auto& process = process_of(thread);
    const auto target = locate(process, to.folder, to.path);
    if (must_be_new && target.info.st_mode != 0) {
        return;
    }
    const auto source = locate(process, from.folder, from.path);
    if (S_ISDIR(source.info.st_mode)) {
        move_folder(process, real_path(source.path), canonical_new(target.path));
    } else {
        move_file(process, source, target, false);
    }
}

/// The files in it that are known move with it.
void Session::move_folder(Process& process, const std::string& from, const std::string& to)
{
    const auto inside = from + "/";
    names_change(from);
    names_change(to);
    std::vector<std::string> paths;
    for (const auto& [path, write] : owner_of(process).writes) {
        if (path.starts_with(inside)) {
            paths.push_back(path);
        }
    }
    for (const auto& [key, id] : versions_) {
        if (key.path.starts_with(inside)) {
            paths.push_back(key.path);
        }
    }
    std::sort(paths.begin(), paths.end());
    paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    for (const auto& path : paths) {
        const auto source = locate(process, AT_FDCWD, path);
        Located target;
        target.path = to + "/" + path.substr(inside.size());
        move_file(process, source, target, false);
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

void Session::symlinks(pid_t thread, std::string_view target, Name link)
{
    names_change(text_path(process_of(thread), link.folder, link.path));
    std::string from(target);
    if (!target.starts_with('/')) {
        const auto slash = link.path.rfind('/');
        from.insert(0, link.path.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
    }
    links(thread, {link.folder, from}, link);
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

std::optional<Session::Start>
Session::executes(pid_t thread, int folder, std::string_view path, const Arguments& argv)
{
    auto& process = process_of(thread);
    const auto program = locate(process, folder, path);
    constexpr mode_t any_execute = S_IXUSR | S_IXGRP | S_IXOTH;
    if (!program.regular || (program.info.st_mode & any_execute) == 0) {
        return std::nullopt;
    }
    Image image;
    image.argv = argv();
    if (process.folder.empty()) {
        process.folder = link_of(process.pid, "cwd");
    }
    image.cwd = process.folder;
    become(process, program, std::move(image));
    return Start{process.pid, static_cast<pid_t>(process.record.parent), program.path};
}

bool Session::has_running() const
{
    return std::any_of(processes_.begin(), processes_.end(), [](const auto& entry) {
        return !link_of(entry.first, "exe").empty(); // one that was killed has no program any more
    });
}

pid_t Session::process_id(pid_t thread)
{
    return process_of(thread).pid;
}

pid_t Session::exits(pid_t thread, int code)
{
    auto& process = process_of(thread);
    const pid_t pid = process.pid;
    end(process, code);
    for (const pid_t other : process.threads) {
        threads_.erase(other);
    }
    threads_.erase(pid);
    processes_.erase(pid);
    return pid;
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

} // namespace stemma::hooks
