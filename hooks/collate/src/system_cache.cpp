#include "system_cache.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/hooks/session.hpp"

#include <sys/stat.h>

namespace stemma::hooks {

namespace {

constexpr std::string_view head = "stemma.system-files/1 ";
constexpr std::size_t columns = 7;
constexpr std::uint64_t largest = std::uint64_t{256} << 20U;

Stamp stamp_of_status()
{
    struct stat info {};
    return ::stat("/var/lib/dpkg/status", &info) == 0 ? stamp_of(info) : 0;
}

} // namespace

SystemCache::SystemCache(std::string path) : path_(std::move(path)), packages_(stamp_of_status())
{
    if (path_.empty()) {
        return;
    }
    try {
        load();
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): the first build has no cache
        entries_.clear();
    }
}

void SystemCache::load()
{
    const auto text = read_file(path_, largest);
    bool first = true;
    bool packages_hold = false;
    for (const auto line : split_lines(text)) {
        if (first) {
            first = false;
            if (line.substr(0, head.size()) != head) {
                return;
            }
            packages_hold = parse_unsigned(line.substr(head.size())) == packages_;
            continue;
        }
        const auto parts = split(line, '\t');
        if (parts.size() != columns || parts[4].size() != 1) {
            continue;
        }
        const auto stamp = parse_unsigned(parts[1]);
        const auto digest = Digest::from_hex(parts[2]);
        const auto size = parse_unsigned(parts[3]);
        if (!stamp || !digest || !size) {
            continue;
        }
        Entry entry;
        entry.stamp = *stamp;
        entry.content = Content{};
        entry.content->ids.sha256 = *digest;
        entry.content->ids.size = *size;
        entry.content->kind = parts[4].front();
        entry.content->build_id = parts[5] == "-" ? "" : std::string(parts[5]);
        if (packages_hold && parts[6] != "?") {
            entry.package = parts[6] == "-" ? "" : std::string(parts[6]);
        }
        entries_.emplace(std::string(parts[0]), std::move(entry));
    }
}

const SystemCache::Entry* SystemCache::find(const std::string& path, Stamp stamp) const
{
    const auto found = entries_.find(path);
    return found != entries_.end() && found->second.stamp == stamp ? &found->second : nullptr;
}

void SystemCache::put(const std::string& path, Stamp stamp, const Content& content)
{
    auto& entry = entries_[path];
    entry = Entry{stamp, content, std::nullopt};
    changed_ = true;
}

void SystemCache::put_package(const std::string& path, std::string purl)
{
    if (const auto found = entries_.find(path); found != entries_.end()) {
        found->second.package = std::move(purl);
        changed_ = true;
    }
}

void SystemCache::save() noexcept
{
    if (path_.empty() || !changed_) {
        return;
    }
    try {
        std::string text = fmt::format("{}{}\n", head, packages_);
        for (const auto& [path, entry] : entries_) {
            if (!entry.content || path.find_first_of("\t\n") != std::string::npos) {
                continue;
            }
            const auto& content = *entry.content;
            text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
                                path,
                                entry.stamp,
                                content.ids.sha256.hex(),
                                content.ids.size,
                                content.kind,
                                content.build_id.empty() ? "-" : content.build_id,
                                !entry.package           ? "?"
                                : entry.package->empty() ? "-"
                                                         : *entry.package);
        }
        write_file(path_, text);
    } catch (...) { // NOLINT(bugprone-empty-catch): see the header
    }
}

} // namespace stemma::hooks
