#include "stemma/collate/inspect.hpp"

#include "stemma/collate/distribution.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/hooks/content.hpp"
#include "stemma/model/members.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

namespace stemma::hooks {

namespace {

using model::File;
using model::FileIndex;
using model::FileState;
using model::Manifest;

/// The step that made each file; the last one wins as it does in the manifest's own order.
std::map<FileIndex, std::uint32_t> makers(const Manifest& manifest)
{
    std::map<FileIndex, std::uint32_t> made;
    for (std::uint32_t i = 0; i < manifest.steps.size(); ++i) {
        for (const auto output : manifest.steps[i].outputs) {
            const auto& inputs = manifest.steps[i].inputs;
            if (!std::binary_search(inputs.begin(), inputs.end(), output)) {
                made[output] = i;
            }
        }
    }
    for (const auto& artifact : manifest.artifacts) {
        if (artifact.step) {
            made[artifact.file] = *artifact.step;
        }
    }
    return made;
}

std::string short_command(const model::Step& step)
{
    constexpr std::size_t longest = 120;
    auto text = printable(shell_join(step.argv));
    if (text.size() > longest) {
        auto cut = longest;
        while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0U) == 0x80U) {
            --cut; // not within a character
        }
        text = text.substr(0, cut) + "…";
    }
    return text;
}

std::string describe_file(const File& file)
{
    std::string text = printable(file.path);
    if (file.blob && file.state != FileState::generated) {
        text += "  blob " + file.blob->substr(0, 12);
    }
    text += fmt::format("  {}", to_string(file.state));
    if (file.package) {
        text += "  " + *file.package;
    }
    return text;
}

std::string package_name(const std::string& purl)
{
    auto name = purl.substr(0, purl.find('@'));
    return percent_decoded(name.substr(name.rfind('/') + 1));
}

/// "libc6 (12), g++-12 (3) and 4 more", the largest first.
std::string package_summary(const std::map<std::string, std::size_t>& packages)
{
    std::vector<std::pair<std::size_t, std::string>> sorted;
    std::size_t files = 0;
    for (const auto& [name, count] : packages) {
        sorted.emplace_back(count, name);
        files += count;
    }
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return a.first > b.first;
    });
    constexpr std::size_t most = 6;
    std::string list;
    for (std::size_t i = 0; i < std::min(most, sorted.size()); ++i) {
        list += fmt::format("{}{} ({})", i == 0 ? "" : ", ", sorted[i].second, sorted[i].first);
    }
    if (sorted.size() > most) {
        list += fmt::format(" and {} more packages", sorted.size() - most);
    }
    return fmt::format("{} system files: {}", files, list);
}

std::string doubt_about(const model::Step& step, FileIndex input)
{
    const auto found = std::find_if(step.unsettled.begin(),
                                    step.unsettled.end(),
                                    [&](const auto& unsettled) { return unsettled.file == input; });
    return found == step.unsettled.end()
               ? std::string()
               : "  (which of its members were linked is not known: " + printable(found->reason) +
                     ")";
}

class Tree {
public:
    Tree(const Manifest& manifest, bool with_system)
        : manifest_(manifest), with_system_(with_system), made_(makers(manifest))
    {
    }

    void root(const model::Artifact& artifact)
    {
        const auto& file = manifest_.files[artifact.file];
        text_ += fmt::format("{}  {}  sha256 {}",
                             printable(file.path),
                             to_string(artifact.kind),
                             file.sha256.hex().substr(0, 16));
        if (artifact.build_id) {
            text_ += "  build-id " + artifact.build_id->substr(0, 16);
        }
        text_ += '\n';
        below(artifact.file, "", 0);
    }

    std::string take() { return std::move(text_); }

private:
    void below(FileIndex file, const std::string& indent, int depth)
    {
        constexpr int deepest = 64;
        const auto maker = made_.find(file);
        if (maker == made_.end() || depth > deepest) {
            if (depth == 0) {
                text_ += indent + "└─ unrecorded: no step that was seen made it\n";
            }
            return;
        }
        if (!shown_.insert(file).second) {
            if (depth == 0) {
                text_ += indent + "└─ (see above)\n";
            }
            return;
        }
        const auto& step = manifest_.steps[maker->second];
        text_ += fmt::format("{}└─ {}: {}\n", indent, to_string(step.kind), short_command(step));
        inputs(step, indent + "   ", depth);
    }

    void inputs(const model::Step& step, const std::string& indent, int depth)
    {
        std::vector<FileIndex> own;
        std::map<std::string, std::size_t> packages;
        // A script of the project is a source as well as the tool.
        if (step.tool && manifest_.files[*step.tool].state != FileState::system) {
            own.push_back(*step.tool);
        }
        for (const auto input : step.inputs) {
            const auto& file = manifest_.files[input];
            if (file.state != FileState::system || with_system_) {
                own.push_back(input);
            } else {
                ++packages[file.package ? package_name(*file.package) : "no package"];
            }
        }
        std::stable_sort(own.begin(), own.end(), [&](FileIndex a, FileIndex b) {
            return made_.count(a) < made_.count(b); // sources first
        });
        for (std::size_t i = 0; i < own.size(); ++i) {
            const bool last = i + 1 == own.size() && packages.empty();
            const bool again = made_.count(own[i]) != 0 && shown_.count(own[i]) != 0;
            text_ += fmt::format("{}{} {}{}{}\n",
                                 indent,
                                 last ? "└─" : "├─",
                                 describe_file(manifest_.files[own[i]]),
                                 doubt_about(step, own[i]),
                                 again ? "  (see above)" : "");
            below(own[i], indent + (last ? "   " : "│  "), depth + 1);
        }
        if (!packages.empty()) {
            text_ += fmt::format("{}└─ {}\n", indent, package_summary(packages));
        }
    }

    const Manifest& manifest_;
    bool with_system_;
    std::map<FileIndex, std::uint32_t> made_;
    std::set<FileIndex> shown_;
    std::string text_;
};

/// One manifest, looked up by path.
class ByPath {
public:
    explicit ByPath(const Manifest& source) : manifest(source), made(makers(source))
    {
        for (const auto& artifact : manifest.artifacts) {
            const auto& file = manifest.files[artifact.file];
            artifacts[file.path] = artifact.file;
        }
    }
    [[nodiscard]] const model::Step* maker(FileIndex file) const
    {
        const auto found = made.find(file);
        return found == made.end() ? nullptr : &manifest.steps[found->second];
    }

    const Manifest& manifest;
    std::map<FileIndex, std::uint32_t> made;
    std::map<std::string, FileIndex> artifacts;
};

class Reasons {
public:
    Reasons(const ByPath& before, const ByPath& after) : before_(before), after_(after) {}

    std::vector<std::string> of(FileIndex before, FileIndex after)
    {
        seen_.clear();
        why_.clear();
        compare(before, after, 0);
        if (why_.empty()) {
            why_.insert("nothing that was recorded: the tool itself gives different bytes");
        }
        return {why_.begin(), why_.end()};
    }

private:
    using Inputs = std::map<std::string, FileIndex>;

    static Inputs inputs_of(const Manifest& manifest, const model::Step& step)
    {
        Inputs inputs;
        for (const auto input : step.inputs) {
            inputs[manifest.files[input].path] = input;
        }
        return inputs;
    }

    void compare(FileIndex before, FileIndex after, int depth)
    {
        constexpr int deepest = 64;
        const auto* old_step = before_.maker(before);
        const auto* new_step = after_.maker(after);
        if (depth > deepest || !seen_.insert(after).second) {
            return;
        }
        if (old_step == nullptr || new_step == nullptr) {
            why_.insert(fmt::format("{}: no step that was seen made it",
                                    printable(after_.manifest.files[after].path)));
            return;
        }
        if (old_step->argv != new_step->argv) {
            why_.insert(fmt::format(
                "arguments: {} became {}", short_command(*old_step), short_command(*new_step)));
        }
        compare_tools(*old_step, *new_step);
        compare_inputs(
            inputs_of(before_.manifest, *old_step), inputs_of(after_.manifest, *new_step), depth);
    }

    void compare_tools(const model::Step& before, const model::Step& after)
    {
        if (before.tool && after.tool) {
            const auto& old_tool = before_.manifest.files[*before.tool];
            const auto& new_tool = after_.manifest.files[*after.tool];
            if (old_tool.sha256 != new_tool.sha256) {
                why_.insert(fmt::format("tool {} changed", printable(new_tool.path)));
            }
        }
    }

    void compare_inputs(const Inputs& before, const Inputs& after, int depth)
    {
        for (const auto& [path, index] : after) {
            const auto old = before.find(path);
            if (old == before.end()) {
                why_.insert(fmt::format("input {} is new", printable(path)));
                continue;
            }
            if (before_.manifest.files[old->second].sha256 == after_.manifest.files[index].sha256) {
                continue;
            }
            if (before_.maker(old->second) != nullptr && after_.maker(index) != nullptr) {
                compare(old->second, index, depth + 1);
            } else {
                why_.insert(fmt::format("{} changed", printable(path)));
            }
        }
        for (const auto& [path, index] : before) {
            if (after.find(path) == after.end()) {
                why_.insert(fmt::format("input {} is gone", printable(path)));
            }
        }
    }

    const ByPath& before_;
    const ByPath& after_;
    std::set<FileIndex> seen_;
    std::set<std::string> why_;
};

} // namespace

std::vector<const model::Artifact*> deliverables(const Manifest& manifest, std::string_view name)
{
    const auto taken_from = model::archives_taken_from(manifest);
    std::set<FileIndex> consumed(taken_from.begin(), taken_from.end());
    for (const auto& step : manifest.steps) {
        if (step.kind != model::StepKind::pack && step.kind != model::StepKind::install) {
            consumed.insert(step.inputs.begin(), step.inputs.end());
        }
    }
    const auto digest = Digest::from_hex(name);
    std::vector<const model::Artifact*> chosen;
    for (const auto& artifact : manifest.artifacts) {
        const auto& file = manifest.files[artifact.file];
        if (!name.empty()) {
            if (artifact.name == name || file.path == name || artifact.target == name ||
                file.sha256 == digest) {
                chosen.push_back(&artifact);
            }
            continue;
        }
        const bool final_kind = artifact.kind == model::ArtifactKind::executable ||
                                artifact.kind == model::ArtifactKind::shared_library ||
                                artifact.kind == model::ArtifactKind::archive ||
                                artifact.kind == model::ArtifactKind::package;
        const bool staged = file.path.find("_CPack_Packages/") != std::string::npos;
        if (final_kind && !staged && consumed.count(artifact.file) == 0) {
            chosen.push_back(&artifact);
        }
    }
    std::stable_sort(chosen.begin(), chosen.end(), [](const auto* a, const auto* b) {
        const auto packed = [](const auto* artifact) {
            return artifact->kind == model::ArtifactKind::package;
        };
        return packed(a) < packed(b);
    });
    if (chosen.empty() && name.empty()) {
        for (const auto& artifact : manifest.artifacts) {
            chosen.push_back(&artifact);
        }
    }
    return chosen;
}

std::string manifest_tree(const Manifest& manifest,
                          const std::vector<const model::Artifact*>& roots,
                          bool with_system)
{
    Tree tree(manifest, with_system);
    for (const auto* artifact : roots) {
        tree.root(*artifact);
    }
    return tree.take();
}

std::vector<ManifestChange> compare_manifests(const Manifest& before, const Manifest& after)
{
    const ByPath old_files(before);
    const ByPath new_files(after);
    Reasons reasons(old_files, new_files);
    std::vector<ManifestChange> changes;
    for (const auto& [path, index] : new_files.artifacts) {
        const auto old = old_files.artifacts.find(path);
        if (old == old_files.artifacts.end()) {
            changes.push_back({path, "added", {}});
        } else if (before.files[old->second].sha256 != after.files[index].sha256) {
            changes.push_back({path, "changed", reasons.of(old->second, index)});
        }
    }
    for (const auto& [path, index] : old_files.artifacts) {
        if (new_files.artifacts.count(path) == 0) {
            changes.push_back({path, "removed", {}});
        }
    }
    std::sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) {
        return a.path < b.path;
    });
    return changes;
}

std::vector<std::string> changed_sources(const Manifest& before, const Manifest& after)
{
    // A path may have been read in several states: only where none is common did it change.
    std::map<std::string, std::set<Digest>> read;
    for (const auto& file : before.files) {
        if (file.state != FileState::generated) {
            read[file.path].insert(file.sha256);
        }
    }
    std::set<std::string> same;
    std::set<std::string> changed;
    for (const auto& file : after.files) {
        const auto old = read.find(file.path);
        if (file.state != FileState::generated && old != read.end()) {
            (old->second.count(file.sha256) != 0 ? same : changed).insert(file.path);
        }
    }
    std::vector<std::string> paths;
    std::set_difference(
        changed.begin(), changed.end(), same.begin(), same.end(), std::back_inserter(paths));
    return paths;
}

std::vector<CheckedFile> verify_manifest(const Manifest& manifest, const std::string& root)
{
    std::set<FileIndex> artifacts;
    for (const auto& artifact : manifest.artifacts) {
        artifacts.insert(artifact.file);
    }
    const auto& base = root.empty() ? manifest.run.root : root;
    std::vector<CheckedFile> checked;
    for (FileIndex i = 0; i < manifest.files.size(); ++i) {
        const auto& file = manifest.files[i];
        const bool is_artifact = artifacts.count(i) != 0;
        if (file.state == FileState::generated && !is_artifact) {
            continue; // an intermediate file, or an earlier state of one: nobody promised it stays
        }
        CheckedFile row;
        row.path =
            file.path.empty() || file.path.front() == '/' ? file.path : base + "/" + file.path;
        row.role = is_artifact                          ? "artifact"
                   : file.state == FileState::system    ? "system"
                   : file.state == FileState::generated ? "generated"
                                                        : "source";
        row.expected = file.sha256.hex();
        const auto content = read_content(row.path, false);
        row.actual = content ? content->ids.sha256.hex() : std::string();
        row.state = !content ? "gone" : row.actual == row.expected ? "same" : "changed";
        checked.push_back(std::move(row));
    }
    return checked;
}

} // namespace stemma::hooks
