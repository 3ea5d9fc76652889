#include "stemma/export/omnibor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "graph.hpp"
#include "words.hpp"

namespace stemma::exporting {

namespace {

using model::FileIndex;
using model::Manifest;

std::vector<FileIndex> roots_of(std::span<const Deliverable> deliverables)
{
    std::set<FileIndex> roots;
    for (const auto& deliverable : deliverables) {
        roots.insert(deliverable.roots.begin(), deliverable.roots.end());
    }
    return {roots.begin(), roots.end()};
}

/// Makes the manifests of files in the order in which they can name one another.
class Maker {
public:
    Maker(const Manifest& manifest, const ContentTable& names)
        : manifest_(manifest), graph_(manifest), names_(names)
    {
    }

    /// Depth first without recursion: a chain of steps may be as long as the manifest.
    void make(FileIndex root)
    {
        std::vector<std::pair<FileIndex, bool>> stack = {{root, false}};
        while (!stack.empty()) {
            const auto [file, ready] = stack.back();
            stack.pop_back();
            if (ready) {
                finish(file);
                continue;
            }
            if (graph_.makers(file).empty() || !entered_.insert(file).second) {
                continue;
            }
            stack.emplace_back(file, true);
            for (const auto input : inputs_of(file)) {
                stack.emplace_back(input, false);
            }
        }
    }

    OmniborExport take()
    {
        std::sort(
            result_.missing.begin(), result_.missing.end(), [](const Unnamed& a, const Unnamed& b) {
                return std::tie(a.file, a.wanted_by) < std::tie(b.file, b.wanted_by);
            });
        return std::move(result_);
    }

private:
    [[nodiscard]] std::set<FileIndex> inputs_of(FileIndex file) const
    {
        std::set<FileIndex> inputs;
        for (const auto step : graph_.makers(file)) {
            const auto& read = manifest_.steps[step].inputs;
            inputs.insert(read.begin(), read.end());
        }
        inputs.erase(file); // changed in place
        return inputs;
    }

    [[nodiscard]] const ContentNames* names_of(FileIndex file) const
    {
        const auto found = names_.find(manifest_.files[file].sha256);
        return found == names_.end() ? nullptr : &found->second;
    }

    void finish(FileIndex file)
    {
        const auto* own = names_of(file);
        const auto name = name_text(manifest_.files[file].path);
        bool whole = own != nullptr;
        if (own == nullptr) {
            result_.missing.push_back({file, name});
        }
        std::set<std::string> lines;
        for (const auto input : inputs_of(file)) {
            const auto* names = names_of(input);
            const bool made = !graph_.makers(input).empty();
            const auto id = ids_.find(input);
            if (names == nullptr) {
                result_.missing.push_back({input, name});
            }
            if (names == nullptr || (made && id == ids_.end())) {
                whole = false;
                continue;
            }
            lines.insert(names->gitoid.hex() +
                         (made ? " manifest " + id->second.hex() : std::string()) + "\n");
        }
        if (!whole) {
            return;
        }
        std::string text = "gitoid:blob:sha256\n";
        for (const auto& line : lines) {
            text += line;
        }
        const auto id = gitoid_of(text);
        ids_.emplace(file, id);
        result_.manifests.push_back({own->gitoid, id, std::move(text), name});
    }

    const Manifest& manifest_;
    const Graph graph_;
    const ContentTable& names_;
    std::set<FileIndex> entered_;
    std::map<FileIndex, Digest> ids_;
    OmniborExport result_;
};

} // namespace

OmniborExport omnibor_manifests(const Manifest& manifest,
                                std::span<const Deliverable> deliverables,
                                const ContentTable& names)
{
    Maker maker(manifest, names);
    for (const auto root : roots_of(deliverables)) {
        maker.make(root);
    }
    return maker.take();
}

std::string omnibor_path(const Digest& id)
{
    const auto hex = id.hex();
    return fmt::format("manifests/gitoid_blob_sha256/{}/{}", hex.substr(0, 2), hex.substr(2));
}

std::string omnibor_targets(std::span<const InputManifest> manifests)
{
    std::set<std::string> lines;
    for (const auto& manifest : manifests) {
        lines.insert(fmt::format("{} {}\n", manifest.artifact.hex(), manifest.id.hex()));
    }
    std::string text;
    for (const auto& line : lines) {
        text += line;
    }
    return text;
}

std::vector<FileIndex> omnibor_files(const Manifest& manifest,
                                     std::span<const Deliverable> deliverables)
{
    auto closure = Graph(manifest).closure(roots_of(deliverables));
    closure.leaves.insert(closure.leaves.end(), closure.made.begin(), closure.made.end());
    std::sort(closure.leaves.begin(), closure.leaves.end());
    return closure.leaves;
}

} // namespace stemma::exporting
