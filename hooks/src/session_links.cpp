#include "stemma/hooks/session.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "link_line.hpp"
#include "link_resolution.hpp"
#include "session_process.hpp"

/// Which members of archives a link took: settled while the linker ends, when everything that it
/// read is still there, the compiler's temporary objects too.
namespace stemma::hooks {

namespace {

/// collect2 runs the linker with nearly its own arguments; the one below it counts.
bool is_linker(const std::vector<std::string>& argv)
{
    return !argv.empty() && role_of(argv.front(), argv) == Role::linker &&
           plain_tool_name(argv.front()) != "collect2";
}

std::string joined(const std::string& folder, const std::string& name)
{
    return name.starts_with('/') ? name : folder + "/" + name;
}

/// Where linkers look that are run without a compiler before them, which names its own folders.
constexpr std::array<std::string_view, 7> usual_folders = {"/usr/local/lib/x86_64-linux-gnu",
                                                           "/lib/x86_64-linux-gnu",
                                                           "/usr/lib/x86_64-linux-gnu",
                                                           "/usr/local/lib",
                                                           "/lib",
                                                           "/usr/lib",
                                                           "/usr/lib64"};

std::vector<std::string> candidates(const LinkLine& line, const LinkInput& input)
{
    std::vector<std::string> names;
    if (input.library && input.name.starts_with(':')) {
        names.push_back(input.name.substr(1));
    } else if (input.library) {
        if (!input.archives_only) {
            names.push_back("lib" + input.name + ".so");
        }
        names.push_back("lib" + input.name + ".a");
    } else {
        names.push_back(input.name);
    }
    std::vector<std::string> paths;
    if (!input.library) {
        const bool absolute = input.name.starts_with('/') && !line.sysroot.empty();
        paths.push_back(input.name);
        if (absolute) {
            paths.push_back(line.sysroot + input.name); // within a script of the sysroot
        }
    }
    const auto add = [&](std::string folder) {
        if (folder.starts_with('=')) {
            folder.replace(0, 1, line.sysroot);
        }
        for (const auto& name : names) {
            if (!name.starts_with('/')) {
                paths.push_back(joined(folder, name));
            }
        }
    };
    std::for_each(line.folders.begin(), line.folders.end(), add);
    for (const auto folder : usual_folders) {
        add(line.sysroot + std::string(folder));
    }
    return paths;
}

} // namespace

std::optional<LinkedFile> Session::open_linked(Process& process, const std::string& path)
{
    const auto file = locate(process, AT_FDCWD, path);
    if (!file.regular) {
        return std::nullopt;
    }
    Fd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0 || stamp_of(info) != stamp_of(file.info)) {
        return std::nullopt;
    }
    return LinkedFile{std::move(fd), file.path, static_cast<std::uint64_t>(info.st_size)};
}

/// The first of the places that a linker looks at where it opened something.
std::optional<LinkedFile>
Session::find_linked(Process& process, const LinkLine& line, const LinkInput& input)
{
    auto& owner = owner_of(process);
    const auto& reads = owner.part_of(process).reads;
    const auto& folder = owner.record.images[owner.part_of(process).images.back()].cwd;
    for (const auto& path : candidates(line, input)) {
        const auto file = locate(process, AT_FDCWD, joined(folder, path));
        if (!file.regular) {
            continue;
        }
        const auto version = versions_.find({file.path, stamp_of(file.info)});
        const bool was_read = version != versions_.end() && reads.count(version->second) != 0;
        const bool own = owner.writes.count(file.path) != 0; // the compiler's temporary objects
        if (was_read || own) {
            return open_linked(process, file.path);
        }
    }
    return std::nullopt;
}

void Session::settle_link(Process& process, int code)
{
    auto& owner = owner_of(process);
    const auto part = owner.parts.find(process.record.serial);
    const bool may_link = code == 0 && !archives_.empty() && part != owner.parts.end() &&
                          !part->second.images.empty();
    if (!may_link) {
        return;
    }
    const auto& image = owner.record.images[part->second.images.back()];
    const auto& reads = part->second.reads;
    const auto was_read = [&](const auto& archive) { return reads.count(archive.second) != 0; };
    if (!is_linker(image.argv) || std::none_of(archives_.begin(), archives_.end(), was_read)) {
        return;
    }
    const auto line = read_link_line(image.argv);
    const auto link = resolve_link(
        line,
        [&](const LinkInput& input) { return find_linked(process, line, input); },
        open_linked(process, joined(image.cwd, line.output)));
    for (const auto& known : archives_) {
        const auto archive = known.second;
        if (reads.count(archive) == 0) {
            continue;
        }
        const auto taken =
            std::find_if(link.archives.begin(), link.archives.end(), [&](const auto& members) {
                return members.archive == known.first;
            });
        Extraction extraction;
        extraction.archive = archive;
        extraction.doubt = link.doubt;
        if (taken != link.archives.end()) {
            extraction.thin = taken->thin;
            extraction.members = taken->members;
        } else if (link.doubt.empty()) {
            extraction.doubt = "the command line does not name it";
        }
        owner.record.extractions.push_back(std::move(extraction));
    }
    owner.links.insert(process.record.serial);
}

void Session::Process::settle_extractions()
{
    for (auto& extraction : record.extractions) {
        const bool read_otherwise = std::any_of(parts.begin(), parts.end(), [&](const auto& part) {
            return links.count(part.first) == 0 && part.second.reads.count(extraction.archive) != 0;
        });
        if (read_otherwise && extraction.doubt.empty()) {
            extraction.doubt = "not the linker alone read it";
        }
    }
}

} // namespace stemma::hooks
