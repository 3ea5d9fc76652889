#include "systemd_units.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <map>
#include <optional>
#include <set>

#include "unpack.hpp"

namespace stemma::image {

namespace {

using volume::NodeKind;

constexpr std::uint64_t most_unit = std::uint64_t{1} << 20U;
const std::string links_root = "/etc/systemd/system/";
const std::string debian_state = "/var/lib/systemd/deb-systemd-helper-enabled/";

std::string text_of(volume::Filesystem& tree, const std::string& path)
{
    const auto info = tree.look_through(path);
    return info && info->kind == NodeKind::file ? tree.read_all(path, most_unit) : "";
}

/// "getty@tty1.service" → "getty@.service"; other names as they are.
std::string template_of(const std::string& unit)
{
    const auto at = unit.find('@');
    const auto dot = unit.rfind('.');
    return at == std::string::npos || dot == std::string::npos || dot < at
               ? unit
               : unit.substr(0, at + 1) + unit.substr(dot);
}

bool is_sound_name(std::string_view name)
{
    return !name.empty() && name.find('/') == std::string_view::npos && name != "." && name != "..";
}

std::string_view without_quotes(std::string_view word)
{
    const bool quoted = word.size() >= 2 && (word.front() == '"' || word.front() == '\'') &&
                        word.front() == word.back();
    return quoted ? word.substr(1, word.size() - 2) : word;
}

std::optional<std::string> find_unit(volume::Filesystem& tree, const std::string& unit)
{
    const auto name = template_of(unit);
    for (const std::string folder :
         {"/etc/systemd/system/", "/lib/systemd/system/", "/usr/lib/systemd/system/"}) {
        const auto info = tree.look_through(folder + name);
        if (info && info->kind == NodeKind::file) {
            return folder + name;
        }
    }
    return std::nullopt;
}

/// Words of each key of the [Install] section.
std::map<std::string, std::vector<std::string>> install_section(volume::Filesystem& tree,
                                                                const std::string& file)
{
    std::map<std::string, std::vector<std::string>> section;
    bool inside = false;
    const auto text = text_of(tree, file);
    for (const std::string_view raw : split_lines(text)) {
        const auto line = trim(raw);
        if (line.starts_with('[')) {
            inside = line == "[Install]";
        }
        const auto equals = line.find('=');
        if (!inside || equals == std::string_view::npos) {
            continue;
        }
        auto& words = section[std::string(trim(line.substr(0, equals)))];
        for (const std::string_view word : split_words(line.substr(equals + 1))) {
            if (is_sound_name(without_quotes(word))) {
                words.emplace_back(without_quotes(word));
            }
        }
    }
    return section;
}

/// The name under which a template is wanted: its default instance.
std::string wanted_name(const std::string& unit,
                        const std::map<std::string, std::vector<std::string>>& section)
{
    const auto instance = section.find("DefaultInstance");
    const auto at = unit.find("@.");
    if (instance == section.end() || instance->second.empty() || at == std::string::npos) {
        return unit;
    }
    return unit.substr(0, at + 1) + instance->second.front() + unit.substr(at + 1);
}

void add_links(volume::Filesystem& tree,
               const std::string& unit,
               std::set<std::string>& visited,
               std::vector<UnitLink>& links)
{
    if (!visited.insert(unit).second) {
        return;
    }
    const auto file = unit_file(tree, unit);
    auto section = install_section(tree, file);
    for (const std::string& also : section["Also"]) {
        if (find_unit(tree, also)) {
            add_links(tree, also, visited, links);
        }
    }
    for (const std::string& alias : section["Alias"]) {
        if (alias != unit) {
            links.push_back({.path = links_root + alias, .target = file});
        }
    }
    for (const auto& [key, suffix] :
         {std::pair("WantedBy", ".wants/"), std::pair("RequiredBy", ".requires/")}) {
        for (const std::string& target : section[key]) {
            links.push_back({.path = links_root + target + suffix + wanted_name(unit, section),
                             .target = file});
        }
    }
}

void remove_if_empty(ext::Editor& editor, const std::string& folder)
{
    const auto info = editor.tree().look(folder);
    if (info && info->kind == NodeKind::directory && editor.tree().list(folder).empty()) {
        editor.remove_folder(folder);
    }
}

std::string parent_of(const std::string& path)
{
    return path.substr(0, path.rfind('/'));
}

/// "/etc/systemd/system/x.wants/y" → the note that enable was run for it.
std::string note_of(const std::string& link)
{
    return debian_state + link.substr(links_root.size());
}

} // namespace

std::string unit_file(volume::Filesystem& tree, const std::string& unit)
{
    if (auto file = find_unit(tree, unit)) {
        return *file;
    }
    throw Error(ErrorCode::not_found,
                fmt::format("there is no unit {} in the image", printable(unit)),
                "install its package first");
}

std::vector<UnitLink> install_links(volume::Filesystem& tree, const std::string& unit)
{
    std::vector<UnitLink> links;
    std::set<std::string> visited;
    add_links(tree, unit, visited, links);
    return links;
}

bool preset_enables(volume::Filesystem& tree, const std::string& unit)
{
    // A file of /etc hides one of the same name in /usr/lib; the order is by name.
    std::map<std::string, std::string> files;
    for (const std::string folder : {"/etc/systemd/system-preset",
                                     "/usr/lib/systemd/system-preset",
                                     "/lib/systemd/system-preset"}) {
        const auto info = tree.look_through(folder);
        if (!info || info->kind != NodeKind::directory) {
            continue;
        }
        for (const auto& entry : tree.list(folder)) {
            if (entry.name.ends_with(".preset")) {
                files.emplace(entry.name, folder + "/" + entry.name);
            }
        }
    }
    for (const auto& [name, path] : files) {
        const auto text = text_of(tree, path);
        for (const std::string_view line : split_lines(text)) {
            const auto words = split_words(line);
            if (words.size() >= 2 && (words[0] == "enable" || words[0] == "disable") &&
                glob_match(words[1], unit)) {
                return words[0] == "enable";
            }
        }
    }
    return true;
}

void put_unit_link(ext::Editor& editor, const UnitLink& link, Time now)
{
    make_parents(editor, link.path, now);
    editor.put_symlink(link.path, {.modified = now}, link.target);
}

void enable_like_debian(ext::Editor& editor, const std::string& unit, Time now)
{
    if (!find_unit(editor.tree(), unit)) {
        return; // the helper complains, and the script goes on
    }
    const auto links = install_links(editor.tree(), unit);
    const bool wanted = preset_enables(editor.tree(), unit);
    std::string state;
    for (const UnitLink& link : links) {
        state += link.path + "\n";
        if (wanted && !editor.tree().look(link.path)) {
            put_unit_link(editor, link, now);
        }
        const auto note = note_of(link.path);
        make_parents(editor, note, now);
        editor.put_file(note, {.modified = now}, "");
    }
    if (!links.empty()) {
        editor.put_file(debian_state + unit + ".dsh-also", {.modified = now}, state);
    }
}

void purge_like_debian(ext::Editor& editor, const std::string& unit)
{
    const auto also = debian_state + unit + ".dsh-also";
    const auto state = text_of(editor.tree(), also);
    for (const std::string_view line : split_lines(state)) {
        const std::string link(line);
        if (!link.starts_with(links_root) || link.find("/../") != std::string::npos) {
            continue;
        }
        for (const std::string& path : {link, note_of(link)}) {
            const auto info = editor.tree().look(path);
            if (info && info->kind != NodeKind::directory) {
                editor.remove(path);
            }
            if (parent_of(path) + "/" != links_root) {
                remove_if_empty(editor, parent_of(path));
            }
        }
    }
    if (editor.tree().look(also)) {
        editor.remove(also);
    }
    remove_if_empty(editor, debian_state.substr(0, debian_state.size() - 1));
}

} // namespace stemma::image
