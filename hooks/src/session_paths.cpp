#include "stemma/hooks/session.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "process_info.hpp"
#include "session_process.hpp"

/// Which file a name means: folders, links, and what is no content at all.
namespace stemma::hooks {

namespace {

/// What rustc keeps of one compilation for the next, under another name each time:
/// "incremental/<crate>-<hash>/s-<time>-<random>/". It reads all sources again nevertheless.
bool is_incremental_cache(std::string_view path) noexcept
{
    constexpr std::string_view top = "/incremental/";
    const auto found = path.find(top);
    if (found == std::string_view::npos) {
        return false;
    }
    const auto crate = path.substr(found + top.size());
    const auto slash = crate.find('/');
    return slash != std::string_view::npos && crate.substr(slash).starts_with("/s-");
}

/// Not content: the kernel's own files, devices, and git's and our own book-keeping. Objects that a
/// clone borrows lie outside of any ".git".
bool is_bookkeeping(std::string_view path) noexcept
{
    return path.starts_with("/proc/") || path.starts_with("/sys/") || path.starts_with("/dev/") ||
           path.find("/.git/") != std::string_view::npos ||
           path.find("/objects/pack/pack-") != std::string_view::npos ||
           path.find("/.stemma/") != std::string_view::npos || is_incremental_cache(path);
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
    if (path.starts_with("/usr/src/") || path.starts_with("/usr/local/src/")) {
        return false;
    }
    return std::any_of(
        folders.begin(), folders.end(), [&](auto folder) { return path.starts_with(folder); });
}

Session::Session(JournalWriter& journal) : journal_(journal), cache_folder_(cache_folder()) {}

bool Session::is_ignored(std::string_view path) const noexcept
{
    return is_bookkeeping(path) || path.starts_with(cache_folder_);
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
    settle_name(file);
    return file;
}

/// True when all is known of this open, and noted.
bool Session::read_again(Process& process, std::string_view path, int flags)
{
    if ((flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY || system_reads_.empty()) {
        return false;
    }
    lookup_ = path;
    const auto known = system_reads_.find(lookup_);
    if (known == system_reads_.end()) {
        return false;
    }
    auto& owner = owner_of(process);
    owner.accesses[known->second.first] |= access_read;
    owner.part_of(process).reads.insert(known->second.first);
    return true;
}

void Session::remember(std::string_view path, const Located& file)
{
    if (!system_moves_ && path.starts_with('/') && is_system_path(path) &&
        is_system_path(file.path) && system_writes_.count(file.path) == 0) {
        system_reads_.try_emplace(std::string(path), version_of(file, false), file.path);
    }
}

void Session::forget_written(const std::string& path)
{
    if (is_system_path(path) && system_writes_.insert(path).second) {
        std::erase_if(system_reads_,
                      [&](const auto& entry) { return entry.second.second == path; });
    }
}

/// A folder or a link: whatever is known below it may be something else from now on.
void Session::names_change(const std::string& path)
{
    if (is_system_path(path)) {
        system_moves_ = true;
        system_reads_.clear();
    }
}

/// For a file that is there: its name without links; empty when it is no content.
void Session::settle_name(Located& file)
{
    file.regular = S_ISREG(file.info.st_mode);
    if (file.regular) {
        file.path = canonical(file.path, file.info);
        if (is_ignored(file.path)) {
            file.regular = false;
            file.path.clear();
        }
    }
}

} // namespace stemma::hooks
