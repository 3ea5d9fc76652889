#include "deb_triggers.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>
#include <set>

namespace stemma::image {

namespace {

constexpr std::uint64_t most_text = std::uint64_t{16} << 20U;
const std::string triggers_folder = std::string(dpkg_folder) + "/triggers";

struct Activation {
    std::string interested;
    std::string trigger;
    bool await = true;
};

std::vector<Activation> activations(const DpkgDatabase& database, const Deb& deb)
{
    std::vector<Activation> all;
    const auto activate = [&](const std::string& trigger, bool await) {
        const auto found = database.triggers().find(trigger);
        if (found == database.triggers().end()) {
            return;
        }
        for (const std::string& who : found->second) {
            const auto slash = who.find('/');
            const bool noawait =
                who.find("noawait", slash == std::string::npos ? 0 : slash) != std::string::npos;
            all.push_back({.interested = who.substr(0, slash),
                           .trigger = trigger,
                           .await = await && !(slash != std::string::npos && noawait)});
        }
    };
    for (const auto& known : database.triggers()) {
        const std::string& trigger = known.first;
        if (!trigger.starts_with('/')) {
            continue;
        }
        const auto prefix = database.merged(trigger);
        const bool touched = std::ranges::any_of(deb.entries, [&](const auto& entry) {
            const auto path = database.merged(entry.path);
            return path == prefix || path.starts_with(prefix + "/");
        });
        if (touched) {
            activate(trigger, true);
        }
    }
    if (const auto file = deb.members.find("triggers"); file != deb.members.end()) {
        for (const std::string_view line : split_lines(file->second)) {
            const auto words = split_words(line);
            if (words.size() == 2 && words[0].starts_with("activate")) {
                activate(std::string(words[1]), words[0] != "activate-noawait");
            }
        }
    }
    return all;
}

std::string with_word(const std::string& words, const std::string& word)
{
    for (const std::string_view each : split_words(words)) {
        if (each == word) {
            return words;
        }
    }
    return words.empty() ? word : words + " " + word;
}

std::string without_package(const std::string& text, const std::string& stem, bool path_first)
{
    std::string kept;
    for (const std::string_view line : split_lines(text)) {
        const auto words = split_words(line);
        const std::string_view who = words.size() > 1 && path_first ? words[1]
                                     : words.empty()                ? std::string_view()
                                                                    : words[0];
        if (who.substr(0, who.find('/')) != stem) {
            kept += std::string(line) + "\n";
        }
    }
    return kept;
}

} // namespace

void apply_triggers(DpkgDatabase& database, const Deb& deb, Stanza& stanza)
{
    for (const Activation& each : activations(database, deb)) {
        const auto name = each.interested.substr(0, each.interested.find(':'));
        Stanza* other = database.find(name);
        if (name == deb.name() || other == nullptr || !is_there(*other) ||
            state_of(*other) == "unpacked" || state_of(*other) == "half-configured") {
            continue;
        }
        other->set("Triggers-Pending", with_word(other->get("Triggers-Pending"), each.trigger));
        if (state_of(*other) == "installed") {
            other->set("Status", "install ok triggers-pending");
        }
        if (each.await && state_of(stanza) != "unpacked") {
            stanza.set("Triggers-Awaited", with_word(stanza.get("Triggers-Awaited"), name));
            stanza.set("Status", "install ok triggers-awaited");
        }
    }
}

void register_interests(ext::Editor& editor, const Deb& deb, Time now)
{
    const auto file = deb.members.find("triggers");
    if (file == deb.members.end()) {
        return;
    }
    for (const std::string_view line : split_lines(file->second)) {
        const auto words = split_words(line);
        if (words.size() != 2 || !words[0].starts_with("interest")) {
            continue;
        }
        const bool is_path = words[1].starts_with('/');
        const std::string target =
            triggers_folder + "/" + (is_path ? "File" : std::string(words[1]));
        if (words[1].find('/') != std::string_view::npos && !is_path) {
            continue; // no name that dpkg would make
        }
        const bool noawait = words[0] == "interest-noawait";
        std::string text =
            editor.tree().look(target) ? editor.tree().read_all(target, most_text) : "";
        const std::string mine = (is_path ? std::string(words[1]) + " " : "") + deb.file_stem() +
                                 (noawait ? "/noawait" : "");
        const auto lines = split_lines(text);
        if (std::find(lines.begin(), lines.end(), mine) == lines.end()) {
            editor.put_folder(triggers_folder, {.mode = 0755, .modified = now});
            editor.put_file(target, {.modified = now}, text + mine + "\n");
        }
    }
}

void forget_interests(ext::Editor& editor, const std::string& stem, Time now)
{
    if (!editor.tree().look(triggers_folder)) {
        return;
    }
    for (const auto& entry : editor.tree().list(triggers_folder)) {
        if (entry.kind != volume::NodeKind::file || entry.name == "Lock" ||
            entry.name == "Unincorp") {
            continue;
        }
        const std::string path = triggers_folder + "/" + entry.name;
        const auto text = editor.tree().read_all(path, most_text);
        const auto kept = without_package(text, stem, entry.name == "File");
        if (kept.empty() && entry.name != "File" && kept != text) {
            editor.remove(path); // as dpkg does when nobody is interested any more
        } else if (kept != text) {
            editor.put_file(path, {.modified = now}, kept);
        }
    }
}

} // namespace stemma::image
