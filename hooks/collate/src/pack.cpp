#include "stemma/collate/pack.hpp"

#include "stemma/archive/reader.hpp"
#include "stemma/collate/distribution.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/hooks/content.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "recorded.hpp"

namespace stemma::hooks {

namespace {

/// Digest and build-id of the entry at which the reader stands.
PayloadFile read_entry(archive::Reader& reader, const archive::Entry& entry, std::string path)
{
    const Fd memory(::memfd_create("stemma-payload", MFD_CLOEXEC));
    if (!memory) {
        throw system_error(errno, "make room for a file of the package");
    }
    reader.content([&](std::string_view piece) {
        write_all(memory.get(), piece, path);
        return true;
    });
    const auto content = content_of(memory.get(), false);
    if (!content) {
        throw Error(ErrorCode::io, fmt::format("cannot hash {}", printable(path)));
    }
    return {std::move(path),
            content->ids.sha256.hex(),
            entry.mode,
            content->ids.size,
            content->build_id};
}

std::vector<PayloadFile> read_files(archive::Reader reader)
{
    std::vector<PayloadFile> files;
    std::map<std::string, std::size_t> by_path;
    while (const auto entry = reader.next()) {
        const auto path = archive::safe_path(entry->path);
        if (!path) {
            throw Error(
                ErrorCode::corrupt,
                fmt::format("an entry leads out of the package: {}", printable(entry->path)));
        }
        if (entry->kind == archive::EntryKind::file) {
            by_path[*path] = files.size();
            files.push_back(read_entry(reader, *entry, "/" + *path));
        } else if (entry->kind == archive::EntryKind::hard_link) {
            const auto target = archive::safe_path(entry->link_target);
            const auto found = target ? by_path.find(*target) : by_path.end();
            if (found != by_path.end()) {
                auto copy = files[found->second];
                copy.path = "/" + *path;
                files.push_back(std::move(copy));
            }
        }
    }
    std::sort(files.begin(), files.end(), [](const PayloadFile& a, const PayloadFile& b) {
        return a.path < b.path;
    });
    return files;
}

std::string control_field(std::string_view control, std::string_view name)
{
    for (const auto line : split_lines(control)) {
        if (line.size() > name.size() && line.substr(0, name.size()) == name &&
            line[name.size()] == ':') {
            return std::string(trim(line.substr(name.size() + 1)));
        }
    }
    return {};
}

void read_control(const std::string& path, Package& package)
{
    auto reader = archive::open_deb(path, archive::DebMember::control);
    // What dpkg runs or acts upon; `conffiles` and `md5sums` only list names of the payload.
    static constexpr std::array<std::string_view, 6> wanted = {
        "preinst", "postinst", "prerm", "postrm", "config", "triggers"};
    constexpr std::uint64_t most = 1U << 20U;
    while (const auto entry = reader.next()) {
        const auto name = archive::safe_path(entry->path);
        if (!name || entry->kind != archive::EntryKind::file) {
            continue;
        }
        if (*name == "control") {
            const auto control = reader.content_all(most);
            package.name = control_field(control, "Package");
            package.version = control_field(control, "Version");
            package.arch = control_field(control, "Architecture");
        } else if (std::find(wanted.begin(), wanted.end(), *name) != wanted.end()) {
            package.scripts.push_back(read_entry(reader, *entry, *name));
        }
    }
    if (package.name.empty()) {
        throw Error(ErrorCode::corrupt, "its control file names no package");
    }
    package.purl = debian_purl(package.name, package.version, package.arch);
}

bool is_tar(const std::string& path)
{
    static constexpr std::array<std::string_view, 8> endings = {
        ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tar.zst", ".tar.lzma"};
    return std::any_of(
        endings.begin(), endings.end(), [&](std::string_view end) { return path.ends_with(end); });
}

/// "shop-1.0.tar.gz" is shop 1.0; what has no version has none.
void name_after_file(Package& package)
{
    auto stem = package.file;
    for (auto dot = stem.rfind('.'); dot != std::string::npos && dot != 0; dot = stem.rfind('.')) {
        if (dot + 1 < stem.size() && is_digits(std::string_view(stem).substr(dot + 1))) {
            break;
        }
        stem.resize(dot);
    }
    package.name = stem;
    for (std::size_t i = 1; i + 1 < stem.size(); ++i) {
        if ((stem[i] == '-' || stem[i] == '_') && stem[i + 1] >= '0' && stem[i + 1] <= '9') {
            package.name = stem.substr(0, i);
            package.version = stem.substr(i + 1);
            break;
        }
    }
    package.purl = "pkg:generic/" + percent_encoded(package.name) +
                   (package.version.empty() ? "" : "@" + percent_encoded(package.version));
}

using KnownMap = std::map<std::string, std::vector<KnownFile>>; ///< by sha256 or build-id

/// The build that explains most files; the newest of equals.
std::string best_build(const Package& package, const KnownMap& contents)
{
    std::map<std::string, std::size_t> votes;
    const auto vote = [&](const std::string& sha256, std::size_t weight) {
        const auto found = contents.find(sha256);
        if (found == contents.end()) {
            return;
        }
        std::map<std::string, bool> builds;
        for (const auto& known : found->second) {
            builds[known.build] = true;
        }
        for (const auto& [build, ignored] : builds) {
            votes[build] += weight;
        }
    };
    for (const auto& file : package.payload) {
        vote(file.sha256, 1);
    }
    vote(package.sha256, package.payload.size() + 1); // a build that made the package itself
    const auto best =
        std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) {
            return a.second < b.second || (a.second == b.second && a.first < b.first);
        });
    return best == votes.end() ? std::string() : best->first;
}

/// Sources before copies that a step made of them; the wanted build before others; the newest.
const KnownFile* choose(const std::vector<KnownFile>& candidates, const std::string& build)
{
    const KnownFile* best = nullptr;
    const auto rank = [&](const KnownFile& known) {
        return (known.build == build ? 2 : 0) + (known.source ? 1 : 0);
    };
    for (const auto& known : candidates) {
        if (best == nullptr || rank(known) >= rank(*best)) {
            best = &known;
        }
    }
    return best;
}

Json link_file(const PayloadFile& file, const KnownMap& known, const std::string& build)
{
    Json json = {{"path", json_text(file.path)},
                 {"sha256", file.sha256},
                 {"mode", file.mode},
                 {"size", file.size},
                 {"link", "unexplained"},
                 {"artifact", nullptr},
                 {"basis", "no build that is known made it or read it"}};
    const KnownFile* from = nullptr;
    if (const auto found = known.find(file.sha256); found != known.end()) {
        from = choose(found->second, build);
        json["link"] = from->source ? "source" : "content";
        json["basis"] = fmt::format("the bytes of {}", printable(from->path));
    } else if (const auto same = known.find(file.build_id);
               !file.build_id.empty() && same != known.end()) {
        from = choose(same->second, build);
        json["link"] = "build-id";
        json["basis"] = fmt::format("build-id {} of {}", file.build_id, printable(from->path));
    }
    if (from != nullptr) {
        json["artifact"] = from->sha256;
        json["build"] = from->build;
    }
    return json;
}

} // namespace

Package read_package(const std::string& path)
{
    Package package;
    package.file = last_name(path);
    package.sha256 = sha256_file(path).hex();
    return doing(
        [&] {
            if (path.ends_with(".deb") || path.ends_with(".udeb")) {
                read_control(path, package);
                package.payload = read_files(archive::open_deb(path, archive::DebMember::data));
                return package;
            }
            name_after_file(package);
            if (is_tar(path)) {
                package.payload = read_files(archive::Reader::open(path, archive::Format::tar));
                return package;
            }
            const auto content = read_content(path, false);
            if (!content) {
                throw Error(ErrorCode::io, "cannot be read");
            }
            package.payload.push_back({"/" + package.file,
                                       content->ids.sha256.hex(),
                                       0644,
                                       content->ids.size,
                                       content->build_id});
            return package;
        },
        "reading the package {}",
        path);
}

Json link_package(const Package& package, const KnownFiles& known)
{
    std::vector<std::string> sha256s = {package.sha256};
    KnownMap found;
    for (const auto& file : package.payload) {
        sha256s.push_back(file.sha256);
        if (!file.build_id.empty()) {
            if (auto same = known.by_build_id(file.build_id); !same.empty()) {
                found[file.build_id] = std::move(same);
            }
        }
    }
    for (const auto& script : package.scripts) {
        sha256s.push_back(script.sha256);
    }
    for (auto& file : known.by_content(sha256s)) {
        found[file.sha256].push_back(std::move(file));
    }
    const auto build = best_build(package, found);
    Json payload = Json::array();
    for (const auto& file : package.payload) {
        payload.push_back(link_file(file, found, build));
    }
    Json scripts = Json::array();
    for (const auto& script : package.scripts) {
        scripts.push_back(link_file(script, found, build));
    }
    return {{"purl", package.purl},
            {"name", package.name},
            {"version", package.version},
            {"arch", package.arch},
            {"sha256", package.sha256},
            {"file", json_text(package.file)},
            {"build", build.empty() ? Json(nullptr) : Json(build)},
            {"payload", std::move(payload)},
            {"scripts", std::move(scripts)}};
}

} // namespace stemma::hooks
