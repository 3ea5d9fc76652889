#include "stemma/model/manifest.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>

namespace stemma::model {

namespace {

template <typename Enum>
struct Word {
    Enum value;
    std::string_view word;
};

constexpr std::array file_states = {Word<FileState>{FileState::clean, "clean"},
                                    Word<FileState>{FileState::dirty, "dirty"},
                                    Word<FileState>{FileState::untracked, "untracked"},
                                    Word<FileState>{FileState::generated, "generated"},
                                    Word<FileState>{FileState::system, "system"}};

constexpr std::array step_kinds = {Word<StepKind>{StepKind::compile, "compile"},
                                   Word<StepKind>{StepKind::link, "link"},
                                   Word<StepKind>{StepKind::archive, "archive"},
                                   Word<StepKind>{StepKind::generate, "generate"},
                                   Word<StepKind>{StepKind::copy, "copy"},
                                   Word<StepKind>{StepKind::install, "install"},
                                   Word<StepKind>{StepKind::pack, "pack"},
                                   Word<StepKind>{StepKind::other, "other"}};

constexpr std::array artifact_kinds = {
    Word<ArtifactKind>{ArtifactKind::object, "object"},
    Word<ArtifactKind>{ArtifactKind::archive, "archive"},
    Word<ArtifactKind>{ArtifactKind::shared_library, "shared_library"},
    Word<ArtifactKind>{ArtifactKind::executable, "executable"},
    Word<ArtifactKind>{ArtifactKind::package, "package"},
    Word<ArtifactKind>{ArtifactKind::generated, "generated"},
    Word<ArtifactKind>{ArtifactKind::other, "other"}};

template <typename Table, typename Enum>
std::string_view word_of(const Table& table, Enum value) noexcept
{
    for (const auto& row : table) {
        if (row.value == value) {
            return row.word;
        }
    }
    return "other";
}

template <typename Enum, std::size_t size>
std::optional<Enum> value_of(const std::array<Word<Enum>, size>& table,
                             std::string_view word) noexcept
{
    for (const auto& row : table) {
        if (row.word == word) {
            return row.value;
        }
    }
    return std::nullopt;
}

auto file_key(const File& file)
{
    return std::tie(file.repo,
                    file.path,
                    file.sha256,
                    file.size,
                    file.state,
                    file.blob,
                    file.index_blob,
                    file.package);
}

/// old index → new index.
using Renumbering = std::vector<FileIndex>;

Renumbering sort_files(std::vector<File>& files)
{
    std::vector<FileIndex> order(files.size());
    std::iota(order.begin(), order.end(), FileIndex{0});
    std::sort(order.begin(), order.end(), [&](FileIndex a, FileIndex b) {
        return file_key(files[a]) < file_key(files[b]);
    });
    Renumbering renumbering(files.size());
    std::vector<File> sorted;
    sorted.reserve(files.size());
    for (const FileIndex old : order) {
        if (sorted.empty() || file_key(sorted.back()) != file_key(files[old])) {
            sorted.push_back(files[old]); // a copy: equal files must still compare
        }
        renumbering[old] = static_cast<FileIndex>(sorted.size() - 1);
    }
    files = std::move(sorted);
    return renumbering;
}

FileIndex renumbered(const Renumbering& renumbering, FileIndex old)
{
    if (old >= renumbering.size()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("a step names file {}, which is not there", old));
    }
    return renumbering[old];
}

void renumber(std::vector<FileIndex>& indexes, const Renumbering& renumbering)
{
    for (auto& index : indexes) {
        index = renumbered(renumbering, index);
    }
    std::sort(indexes.begin(), indexes.end());
    indexes.erase(std::unique(indexes.begin(), indexes.end()), indexes.end());
}

auto step_key(const Step& step)
{
    return std::tie(step.outputs,
                    step.argv,
                    step.cwd,
                    step.kind,
                    step.target,
                    step.inputs,
                    step.tool,
                    step.exit);
}

bool step_before(const Step& a, const Step& b)
{
    // Steps that made nothing come last.
    if (a.outputs.empty() != b.outputs.empty()) {
        return b.outputs.empty();
    }
    return step_key(a) < step_key(b);
}

std::vector<std::uint32_t> sort_steps(std::vector<Step>& steps)
{
    std::vector<std::uint32_t> order(steps.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        return step_before(steps[a], steps[b]);
    });
    std::vector<std::uint32_t> renumbering(steps.size());
    std::vector<Step> sorted;
    sorted.reserve(steps.size());
    for (const auto old : order) {
        renumbering[old] = static_cast<std::uint32_t>(sorted.size());
        sorted.push_back(std::move(steps[old]));
    }
    steps = std::move(sorted);
    return renumbering;
}

} // namespace

std::string_view to_string(FileState state) noexcept
{
    return word_of(file_states, state);
}

std::optional<FileState> file_state_from(std::string_view word) noexcept
{
    return value_of(file_states, word);
}

std::string_view to_string(StepKind kind) noexcept
{
    return word_of(step_kinds, kind);
}

std::optional<StepKind> step_kind_from(std::string_view word) noexcept
{
    return value_of(step_kinds, word);
}

std::string_view to_string(ArtifactKind kind) noexcept
{
    return word_of(artifact_kinds, kind);
}

std::optional<ArtifactKind> artifact_kind_from(std::string_view word) noexcept
{
    return value_of(artifact_kinds, word);
}

void normalise(Manifest& manifest)
{
    const auto files = sort_files(manifest.files);
    for (auto& step : manifest.steps) {
        if (step.tool) {
            step.tool = renumbered(files, *step.tool);
        }
        renumber(step.inputs, files);
        renumber(step.outputs, files);
        for (auto& input : step.unsettled) {
            input.file = renumbered(files, input.file);
        }
        std::sort(step.unsettled.begin(), step.unsettled.end());
    }
    const auto steps = sort_steps(manifest.steps);
    for (auto& artifact : manifest.artifacts) {
        artifact.file = renumbered(files, artifact.file);
        if (artifact.step) {
            if (*artifact.step >= steps.size()) {
                throw Error(ErrorCode::corrupt, "an artifact names a step that is not there");
            }
            artifact.step = steps[*artifact.step];
        }
    }
    std::sort(manifest.artifacts.begin(),
              manifest.artifacts.end(),
              [](const Artifact& a, const Artifact& b) {
                  return std::tie(a.file, a.name, a.step) < std::tie(b.file, b.name, b.step);
              });
    std::sort(manifest.holes.begin(), manifest.holes.end());
    manifest.holes.erase(std::unique(manifest.holes.begin(), manifest.holes.end()),
                         manifest.holes.end());
    std::sort(manifest.build.dirty.begin(), manifest.build.dirty.end());
}

Digest manifest_digest(const Manifest& manifest)
{
    return sha256(canonical_json(to_json(manifest)));
}

Digest content_digest(const Manifest& manifest)
{
    Json json = to_json(manifest);
    json.erase("run");
    for (auto& hole : json["holes"]) {
        hole.erase("pid"); // the kernel's choice, not the build's
    }
    return sha256(canonical_json(json));
}

} // namespace stemma::model
