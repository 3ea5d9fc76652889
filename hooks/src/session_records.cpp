#include "stemma/hooks/content.hpp"
#include "stemma/hooks/session.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "archive_file.hpp"
#include "process_info.hpp"
#include "session_process.hpp"

/// What goes into the journal: versions with their content, and processes at their end.
namespace stemma::hooks {

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
    const Fd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    const auto unchanged = [&] {
        struct stat now {};
        return ::fstat(fd.get(), &now) == 0 && stamp_of(now) == stamp_of(file.info);
    };
    constexpr std::int64_t large = 1 << 20;
    const bool with_blob = !written || file.info.st_size < large;
    auto read = fd && unchanged() ? content_of(fd.get(), with_blob) : std::nullopt;
    if (read && read->kind == 'a') {
        read->members = hash_members({fd.get(), 0, read->ids.size});
        archives_[file.path] = id;
    }
    if (read && unchanged()) {
        content = std::move(*read);
    } else {
        content.raced = true;
    }
    content.id = id;
    journal_.add(content);
}

void Session::settle_writes(Process& process)
{
    for (const auto& [path, write] : process.writes) {
        if (const auto found = writing_.find(path);
            found != writing_.end() && found->second.lock().get() == &process) {
            writing_.erase(found);
        }
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
    settle_link(process, code);
    if (process.owner && !process.owner->ended) {
        return; // what it did is the tool's
    }
    settle_writes(process);
    process.settle_extractions();
    if (process.accesses.empty() && !process.has_children && process.record.images.empty()) {
        return;
    }
    write_records(process);
    journal_.flush();
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
