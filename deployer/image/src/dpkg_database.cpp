#include "dpkg_database.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "deb.hpp"

namespace stemma::image {

namespace {

constexpr std::uint64_t most_status = std::uint64_t{256} << 20U;
constexpr std::uint64_t most_list = std::uint64_t{64} << 20U;

std::string path_in(std::string_view name)
{
    return std::string(dpkg_folder) + "/" + std::string(name);
}

std::string read_or_empty(volume::Filesystem& tree, const std::string& path, std::uint64_t most)
{
    const auto info = tree.look_through(path);
    return info && info->kind == volume::NodeKind::file ? tree.read_all(path, most) : "";
}

} // namespace

std::string state_of(const Stanza& stanza)
{
    const auto status = stanza.get("Status");
    const auto words = split_words(status);
    return words.empty() ? "not-installed" : std::string(words.back());
}

bool is_there(const Stanza& stanza)
{
    const auto state = state_of(stanza);
    return state == "installed" || state == "unpacked" || state == "half-configured" ||
           state == "triggers-pending" || state == "triggers-awaited";
}

std::string stem_of(const Stanza& stanza)
{
    const auto name = stanza.get("Package");
    return stanza.get("Multi-Arch") == "same" ? name + ":" + stanza.get("Architecture") : name;
}

std::map<std::string, std::string> conffiles_of(const Stanza& stanza)
{
    std::map<std::string, std::string> all;
    const auto field = stanza.get("Conffiles");
    for (const std::string_view line : split_lines(field)) {
        const auto words = split_words(line);
        if (words.size() >= 2) {
            all.emplace(words[0], words[1]);
        }
    }
    return all;
}

std::string os_release_value(volume::Filesystem& tree, std::string_view key)
{
    constexpr std::uint64_t most = 1 << 20;
    std::string text = read_or_empty(tree, "/etc/os-release", most);
    if (text.empty()) {
        text = read_or_empty(tree, "/usr/lib/os-release", most);
    }
    for (const std::string_view line : split_lines(text)) {
        if (line.starts_with(key) && line.substr(key.size()).starts_with('=')) {
            std::string_view value = trim(line.substr(key.size() + 1));
            if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
                value.back() == value.front()) {
                value = value.substr(1, value.size() - 2);
            }
            return std::string(value);
        }
    }
    return {};
}

bool DpkgDatabase::present(volume::Filesystem& tree)
{
    return tree.look_through(path_in("status")).has_value();
}

DpkgDatabase DpkgDatabase::load(volume::Filesystem& tree)
{
    if (!present(tree)) {
        throw Error(ErrorCode::unsupported,
                    "the image has no dpkg (/var/lib/dpkg/status is missing)",
                    "install files or tarballs instead: --file, --tar");
    }
    DpkgDatabase database;
    database.stanzas_ =
        parse_stanzas(tree.read_all(path_in("status"), most_status), path_in("status"));
    const auto id = os_release_value(tree, "ID");
    database.vendor_ = id.empty() ? "debian" : id;
    for (const std::string top : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
        const auto info = tree.look(top);
        if (info && info->kind == volume::NodeKind::symlink) {
            database.merged_tops_.insert(top);
        }
    }
    database.read_architectures(tree);
    database.read_diversions(tree);
    database.read_triggers(tree);
    return database;
}

void DpkgDatabase::read_architectures(volume::Filesystem& tree)
{
    for (const std::string_view name : {"dpkg", "base-files", "libc6"}) {
        const Stanza* stanza = find(name);
        if (arch_.empty() && stanza != nullptr && stanza->get("Architecture") != "all") {
            arch_ = stanza->get("Architecture");
        }
    }
    const auto text = read_or_empty(tree, path_in("arch"), 1 << 16);
    for (const std::string_view line : split_lines(text)) {
        if (arch_.empty()) {
            arch_ = trim(line);
        }
        foreign_.emplace(trim(line));
    }
}

void DpkgDatabase::read_diversions(volume::Filesystem& tree)
{
    const auto text = read_or_empty(tree, path_in("diversions"), most_list);
    const auto lines = split_lines(text);
    for (std::size_t i = 0; i + 2 < lines.size(); i += 3) {
        diversions_.push_back({.from = std::string(lines[i]),
                               .to = std::string(lines[i + 1]),
                               .package = std::string(lines[i + 2])});
    }
    const auto overrides = read_or_empty(tree, path_in("statoverride"), most_list);
    for (const std::string_view line : split_lines(overrides)) {
        const auto words = split_words(line);
        if (words.size() == 4) {
            overridden_.insert(merged(std::string(words[3])));
        }
    }
}

void DpkgDatabase::read_triggers(volume::Filesystem& tree)
{
    const std::string folder = path_in("triggers");
    if (!tree.look_through(folder)) {
        return;
    }
    const auto paths = read_or_empty(tree, folder + "/File", most_list);
    for (const std::string_view line : split_lines(paths)) {
        const auto words = split_words(line);
        if (words.size() == 2) {
            triggers_[std::string(words[0])].emplace_back(words[1]);
        }
    }
    for (const auto& entry : tree.list(folder)) {
        if (entry.name == "File" || entry.name == "Unincorp" || entry.name == "Lock" ||
            entry.kind != volume::NodeKind::file) {
            continue;
        }
        const auto names = read_or_empty(tree, folder + "/" + entry.name, most_list);
        for (const std::string_view line : split_lines(names)) {
            triggers_[entry.name].emplace_back(trim(line));
        }
    }
}

bool DpkgDatabase::knows_arch(const std::string& arch) const
{
    return arch == "all" || arch == arch_ || foreign_.count(arch) != 0;
}

Stanza* DpkgDatabase::find(std::string_view name, std::string_view arch)
{
    return const_cast<Stanza*>(std::as_const(*this).find(name, arch));
}

const Stanza* DpkgDatabase::find(std::string_view name, std::string_view arch) const
{
    const Stanza* answer = nullptr;
    for (const Stanza& stanza : stanzas_) {
        if (stanza.get("Package") != name ||
            (!arch.empty() && stanza.get("Architecture") != arch && arch != "all" &&
             stanza.get("Architecture") != "all")) {
            continue;
        }
        // The native one first, where several architectures are installed.
        if (answer == nullptr || stanza.get("Architecture") == arch_) {
            answer = &stanza;
        }
    }
    return answer;
}

void DpkgDatabase::put(Stanza stanza)
{
    if (Stanza* old = find(stanza.get("Package"), stanza.get("Architecture"))) {
        *old = std::move(stanza);
        return;
    }
    stanzas_.push_back(std::move(stanza));
}

void DpkgDatabase::erase(std::string_view name, std::string_view arch)
{
    std::erase_if(stanzas_, [&](const Stanza& each) {
        return each.get("Package") == name && each.get("Architecture") == arch;
    });
}

std::string DpkgDatabase::merged(const std::string& path) const
{
    const auto slash = path.find('/', 1);
    const std::string top = path.substr(0, slash);
    return merged_tops_.count(top) != 0 && slash != std::string::npos ? "/usr" + path : path;
}

std::vector<std::string> DpkgDatabase::files_of(volume::Filesystem& tree,
                                                const std::string& stem) const
{
    std::vector<std::string> files;
    const auto text = read_or_empty(tree, path_in("info/" + stem + ".list"), most_list);
    for (const std::string_view line : split_lines(text)) {
        if (line.starts_with('/')) {
            files.emplace_back(line == "/." ? "/" : line);
        }
    }
    return files;
}

std::vector<std::string> DpkgDatabase::owners(volume::Filesystem& tree, const std::string& path)
{
    if (!owners_read_) {
        owners_read_ = true;
        for (const Stanza& stanza : stanzas_) {
            for (const std::string& file : files_of(tree, stem_of(stanza))) {
                owners_[merged(file)].push_back(stem_of(stanza));
            }
        }
    }
    const auto found = owners_.find(merged(path));
    return found == owners_.end() ? std::vector<std::string>() : found->second;
}

std::string DpkgDatabase::status_text() const
{
    std::string text;
    for (const Stanza& stanza : stanzas_) {
        text += stanza.text() + "\n";
    }
    return text;
}

Json DpkgDatabase::packages_json() const
{
    std::map<std::pair<std::string, std::string>, Json> sorted;
    for (const Stanza& stanza : stanzas_) {
        if (!is_there(stanza)) {
            continue;
        }
        const auto name = stanza.get("Package");
        const auto version = stanza.get("Version");
        const auto arch = stanza.get("Architecture");
        sorted[{name, arch}] = Json{{"name", json_text(name)},
                                    {"version", json_text(version)},
                                    {"arch", json_text(arch)},
                                    {"purl", deb_purl(vendor_, name, version, arch)}};
    }
    Json all = Json::array();
    for (auto& [key, package] : sorted) {
        all.push_back(std::move(package));
    }
    return all;
}

} // namespace stemma::image
