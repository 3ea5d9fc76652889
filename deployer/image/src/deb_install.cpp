#include "deb_install.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <set>

#include "deb_scripts.hpp"
#include "deb_triggers.hpp"
#include "first_boot.hpp"
#include "unpack.hpp"

namespace stemma::image {

namespace {

using archive::Entry;
using archive::EntryKind;

std::string info_path(const std::string& stem, std::string_view what)
{
    return fmt::format("{}/info/{}.{}", dpkg_folder, stem, what);
}

ext::Attributes record(Time now, std::uint32_t mode = 0644)
{
    return {.mode = mode, .modified = now};
}

/// What one unpacking learns on its way through the files.
struct Unpacked {
    std::vector<std::string> paths;          ///< of the .list, in the archive's order
    std::map<std::string, std::string> md5s; ///< path → MD5, conffiles only when needed
    std::set<std::string> merged;            ///< all paths after the merge of /usr
    std::map<std::string, std::string> kept; ///< configuration files left alone → recorded MD5
};

std::string md5_of(volume::Filesystem& tree, const std::string& path)
{
    return md5_hex(tree.read_all(path, std::uint64_t{4} << 30U));
}

/// A configuration file that its administrator changed, while the package kept it, stays: the MD5
/// that the package has for it, else nullopt.
std::optional<std::string> recorded_if_kept(volume::Filesystem& tree,
                                            const DpkgDatabase& database,
                                            const Deb& deb,
                                            const std::string& path)
{
    const auto there = tree.look(path);
    const Stanza* old = database.find(deb.name(), deb.arch());
    if (!there || there->kind != volume::NodeKind::file || old == nullptr) {
        return std::nullopt;
    }
    const auto known = conffiles_of(*old);
    const auto recorded = known.find(path);
    if (recorded == known.end() || recorded->second == md5_of(tree, path)) {
        return std::nullopt;
    }
    return recorded->second;
}

Unpacked
put_files(ext::Editor& editor, const DpkgDatabase& database, const Deb& deb, const Cancel& cancel)
{
    const Accounts accounts = Accounts::load(editor.tree());
    const std::set<std::string> conffiles(deb.conffiles.begin(), deb.conffiles.end());
    const bool needs_sums = !deb.has_script("md5sums");
    Unpacked unpacked;
    auto reader = archive::open_deb(deb.path, archive::DebMember::data);
    for (std::size_t i = 0; auto entry = reader.next(); ++i) {
        cancel.check();
        if (i >= deb.entries.size()) {
            throw Error(ErrorCode::conflict, fmt::format("{} changed while it was read", deb.path));
        }
        Entry placed = deb.entries[i];
        unpacked.paths.push_back(placed.path == "/" ? "/." : placed.path);
        unpacked.merged.insert(database.merged(placed.path));
        if (placed.path == "/") {
            continue;
        }
        const bool conffile = conffiles.count(placed.path) != 0;
        if (conffile) {
            if (const auto sum = recorded_if_kept(editor.tree(), database, deb, placed.path)) {
                unpacked.kept[placed.path] = *sum;
                continue;
            }
        }
        put_entry(editor, accounts, placed, placed.path, reader);
        if (placed.kind == EntryKind::file && !conffile && needs_sums) {
            unpacked.md5s[placed.path] = md5_of(editor.tree(), placed.path);
        }
    }
    return unpacked;
}

/// Files of the version before that this one no longer has.
void remove_obsolete(ext::Editor& editor,
                     DpkgDatabase& database,
                     const Stanza& old,
                     const Unpacked& unpacked)
{
    const auto conffiles = conffiles_of(old);
    auto files = database.files_of(editor.tree(), stem_of(old));
    std::sort(files.rbegin(), files.rend()); // what is inside a folder before the folder
    for (const std::string& file : files) {
        if (file == "/" || unpacked.merged.count(database.merged(file)) != 0 ||
            conffiles.count(file) != 0) {
            continue;
        }
        const auto owners = database.owners(editor.tree(), file);
        const bool shared = std::any_of(
            owners.begin(), owners.end(), [&](const auto& owner) { return owner != stem_of(old); });
        const auto there = editor.tree().look(file);
        // A link that stands where the package had a folder (/lib → usr/lib) was never its own.
        const bool stands_for_folder =
            there && there->kind == volume::NodeKind::symlink &&
            std::any_of(files.begin(), files.end(), [&](const std::string& other) {
                return other.starts_with(file + "/");
            });
        if (shared || !there || stands_for_folder) {
            continue;
        }
        if (there->kind == volume::NodeKind::directory) {
            editor.remove_folder(file);
        } else {
            editor.remove(file);
        }
    }
}

void remove_info(ext::Editor& editor, const std::string& stem)
{
    const std::string folder = std::string(dpkg_folder) + "/info";
    for (const auto& entry : editor.tree().list(folder)) {
        const auto dot = entry.name.rfind('.');
        if (dot != std::string::npos && entry.name.substr(0, dot) == stem) {
            editor.remove(folder + "/" + entry.name);
        }
    }
}

void write_info(ext::Editor& editor, const Deb& deb, const Unpacked& unpacked, Time now)
{
    const auto stem = deb.file_stem();
    std::string list;
    for (const std::string& path : unpacked.paths) {
        list += path + "\n";
    }
    editor.put_file(info_path(stem, "list"), record(now), list);
    for (const auto& [name, content] : deb.members) {
        static const std::set<std::string> scripts = {
            "preinst", "postinst", "prerm", "postrm", "config"};
        editor.put_file(
            info_path(stem, name), record(now, scripts.count(name) != 0 ? 0755 : 0644), content);
    }
    if (!deb.has_script("md5sums") && !unpacked.md5s.empty()) {
        std::string sums;
        for (const auto& [path, sum] : unpacked.md5s) {
            sums += sum + "  " + path.substr(1) + "\n";
        }
        editor.put_file(info_path(stem, "md5sums"), record(now), sums);
    }
}

Stanza record_of(ext::Editor& editor, const Deb& deb, const Unpacked& unpacked)
{
    Stanza stanza = deb.control;
    std::string conffiles;
    for (const std::string& path : deb.conffiles) {
        const auto there = editor.tree().look(path);
        if (there && there->kind == volume::NodeKind::file) {
            const auto kept = unpacked.kept.find(path);
            conffiles += "\n " + path + " " +
                         (kept != unpacked.kept.end() ? kept->second : md5_of(editor.tree(), path));
        }
    }
    if (!conffiles.empty()) {
        stanza.set("Conffiles", conffiles);
    }
    return stanza;
}

void take_over_replaced(ext::Editor& editor, DpkgDatabase& database, const Deb& deb, Time now)
{
    std::map<std::string, std::set<std::string>> taken; // stem → merged paths
    for (const Entry& entry : deb.entries) {
        if (entry.kind == EntryKind::directory) {
            continue;
        }
        for (const std::string& owner : database.owners(editor.tree(), entry.path)) {
            if (owner != deb.file_stem()) {
                taken[owner].insert(database.merged(entry.path));
            }
        }
    }
    for (const auto& [owner, paths] : taken) {
        std::string list;
        const auto old = editor.tree().read_all(info_path(owner, "list"), std::uint64_t{64} << 20U);
        for (const std::string_view line : split_lines(old)) {
            if (paths.count(database.merged(std::string(line))) == 0) {
                list += std::string(line) + "\n";
            }
        }
        editor.put_file(info_path(owner, "list"), record(now), list);
    }
}

/// Does what postinst would do, when that is known and the package's dependencies are configured.
/// returns  why the package stays unpacked, else nullopt
std::optional<std::string> configure(
    ext::Editor& editor, const DpkgDatabase& database, const Deb& deb, const Stanza* old, Time now)
{
    if (const auto needed = unconfigured_dependency(database, deb)) {
        return fmt::format("it needs {}, which is not configured", *needed);
    }
    const auto judgement = judge_configuring(editor.tree(), deb, old);
    if (!judgement.effects) {
        return fmt::format("its postinst runs \"{}\"", printable(judgement.unknown));
    }
    apply_effects(editor, *judgement.effects, now);
    return std::nullopt;
}

} // namespace

std::optional<std::string> unpack_deb(
    ext::Editor& editor, DpkgDatabase& database, const Deb& deb, Time now, const Cancel& cancel)
{
    if (deb.content_size() > editor.free_bytes()) {
        throw Error(ErrorCode::io,
                    fmt::format("no room in the image for {} {}: it needs {}, {} are free",
                                deb.name(),
                                deb.version(),
                                human_size(deb.content_size()),
                                human_size(editor.free_bytes())),
                    "make the disk and its file system larger, or remove something");
    }
    std::optional<Stanza> old;
    if (const Stanza* there = database.find(deb.name(), deb.arch());
        there != nullptr && is_there(*there)) {
        old = *there;
    }
    take_over_replaced(editor, database, deb, now);
    const Unpacked unpacked = put_files(editor, database, deb, cancel);
    if (old) {
        remove_obsolete(editor, database, *old, unpacked);
        remove_info(editor, stem_of(*old));
    }
    write_info(editor, deb, unpacked, now);
    Stanza stanza = record_of(editor, deb, unpacked);
    auto why_open = configure(editor, database, deb, old ? &*old : nullptr, now);
    stanza.set("Status", why_open ? "install ok unpacked" : "install ok installed");
    if (why_open && old) {
        const auto configured = old->get("Config-Version");
        stanza.set("Config-Version", configured.empty() ? old->get("Version") : configured);
    }
    apply_triggers(database, deb, stanza);
    register_interests(editor, deb, now);
    database.put(std::move(stanza));
    return why_open;
}

void write_database(ext::Editor& editor, const DpkgDatabase& database, Time now)
{
    editor.put_file(std::string(dpkg_folder) + "/status", record(now), database.status_text());
    const auto& stanzas = database.stanzas();
    const bool open = std::any_of(stanzas.begin(), stanzas.end(), [](const Stanza& each) {
        return is_there(each) && state_of(each) != "installed";
    });
    if (open) {
        put_first_boot(editor, now);
    } else {
        remove_first_boot(editor, now);
    }
}

void remove_deb(ext::Editor& editor, DpkgDatabase& database, const std::string& name, Time now)
{
    const Stanza* there = database.find(name);
    if (there == nullptr || !is_there(*there)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no package {} in the image", printable(name)));
    }
    const Stanza gone = *there;
    const auto stem = stem_of(gone);
    if (const auto needed_by = dependents_of(database, gone); !needed_by.empty()) {
        throw Error(
            ErrorCode::conflict,
            fmt::format("{} cannot be removed: {} would lose it", name, join(needed_by, ", ")),
            "remove those in the same command, or first");
    }
    const auto judgement = judge_removing(editor.tree(), stem);
    if (!judgement.effects) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: {}, and the mode \"extract\" runs nothing",
                                name,
                                printable(judgement.unknown)),
                    "--mode appliance removes it in a small VM");
    }
    apply_effects(editor, *judgement.effects, now);
    remove_obsolete(editor, database, gone, {});
    for (const auto& [path, sum] : conffiles_of(gone)) {
        if (editor.tree().look(path)) {
            editor.remove(path);
        }
    }
    auto folders = database.files_of(editor.tree(), stem);
    std::sort(folders.rbegin(), folders.rend());
    for (const std::string& folder : folders) {
        const auto info = folder == "/" ? std::nullopt : editor.tree().look(folder);
        if (info && info->kind == volume::NodeKind::directory &&
            database.owners(editor.tree(), folder).size() <= 1) {
            editor.remove_folder(folder);
        }
    }
    remove_info(editor, stem);
    forget_interests(editor, stem, now);
    database.erase(gone.get("Package"), gone.get("Architecture"));
}

} // namespace stemma::image
