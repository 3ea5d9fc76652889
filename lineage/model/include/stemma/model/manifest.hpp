#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The record of a build: values, canonical text and parser; no input or output.
///
/// Format `stemma.manifest/1`, one JSON object, keys sorted, UTF-8, no spaces:
///
///     {"artifacts":[{"build_id","file","kind","name","step","target"}…],
///      "build":{"branch","commit","dirty":[path…],"name","repo","toolchain"},
///      "complete":bool,
///      "files":[{"blob","index_blob","package","path","repo","sha256","size","state"}…],
///      "holes":[{"pid","program","reason"}…],
///      "run":{"finished","id","machine","root","started","user"},
///      "schema":"stemma.manifest/1",
///      "steps":[{"argv":[…],"cwd","exit","inputs":[file…],"kind","outputs":[file…],
///                "target","tool","unsettled":[{"file","reason"}…]}…]}
///
/// `files` is the dictionary, sorted by (repo, path, sha256); steps, artifacts refer to it by
/// index. Steps are sorted by their first output, then argv. Everything that differs between two
/// equal builds (time, machine, build id) is in "run" alone. Measured: about 90 bytes per file and
/// 40 + 3 per input per step. A torn file is not valid JSON and is refused whole.
/// "unsettled" is there only where it says something: readers take it as empty otherwise.
///
/// A link names what it took: of an archive that it took a part of, the members, as files called
/// "libx.a(a.o)" with the member's own content; a step that copied the object makes each of them.
namespace stemma::model {

/// Where the content of a file stood relative to version control when a step read it.
enum class FileState {
    clean,     ///< equals the blob of the build's commit
    dirty,     ///< tracked, but differs from the commit
    untracked, ///< inside a repository, not tracked
    generated, ///< made by a step of this build
    system,    ///< outside any repository: toolchain, libraries, /usr
};
std::string_view to_string(FileState state) noexcept;
std::optional<FileState> file_state_from(std::string_view word) noexcept;

struct File {
    std::string path;       ///< relative to the repository's root; absolute where `repo` is empty
    std::string repo;       ///< name of the repository (see Build::repo); empty outside any
    Digest sha256;          ///< of the raw bytes
    std::uint64_t size = 0; ///< bytes
    FileState state = FileState::system;
    std::optional<std::string> blob; ///< git blob id of the raw bytes, for files in a repository
    std::optional<std::string> index_blob; ///< where git's filters make it another one
    std::optional<std::string> package;    ///< purl of the distribution package that owns it

    auto operator<=>(const File&) const = default;
};

enum class StepKind { compile, link, archive, generate, copy, install, pack, other };
std::string_view to_string(StepKind kind) noexcept;
std::optional<StepKind> step_kind_from(std::string_view word) noexcept;

using FileIndex = std::uint32_t;

/// An input that a step names whole although it may have taken a part of it.
struct Unsettled {
    FileIndex file = 0;
    std::string reason;
    auto operator<=>(const Unsettled&) const = default; // NOLINT(modernize-use-nullptr): its own 0
};

/// One run of a tool.
struct Step {
    StepKind kind = StepKind::other;
    std::optional<FileIndex> tool; ///< the program itself, by content
    std::vector<std::string> argv; ///< as it was run; bytes
    std::string cwd;               ///< relative to the repository's root when inside it
    int exit = 0;
    std::string target;                    ///< the build system's name for it; may be empty
    std::vector<FileIndex> inputs;         ///< ascending, without the tool
    std::vector<FileIndex> outputs;        ///< ascending
    std::vector<Unsettled> unsettled = {}; ///< ascending; archives among the inputs
};

enum class ArtifactKind { object, archive, shared_library, executable, package, generated, other };
std::string_view to_string(ArtifactKind kind) noexcept;
std::optional<ArtifactKind> artifact_kind_from(std::string_view word) noexcept;

/// A file that a step produced and that still was there when the build ended.
struct Artifact {
    FileIndex file = 0;
    std::string name; ///< file name without folders
    ArtifactKind kind = ArtifactKind::other;
    std::optional<std::string> build_id; ///< GNU build-id, hexadecimal
    std::optional<std::uint32_t> step;   ///< index of the step that made it; nullopt: unrecorded
    std::string target;
};

/// Something that was not seen. A manifest with holes is not complete.
struct Hole {
    std::int64_t pid = 0; ///< 0 when no process is known
    std::string program;
    std::string reason;
    auto operator<=>(const Hole&) const = default; // NOLINT(modernize-use-nullptr): its own 0
};

struct Build {
    std::string name; ///< the project's name
    std::string repo; ///< origin URL without credentials, else the root folder's name
    std::optional<std::string> commit;
    std::optional<std::string> branch;
    std::vector<std::string> dirty; ///< tracked paths that differ from the commit; sorted
    std::string toolchain;          ///< e.g. "GNU 12.2.0"; may be empty
};

/// Time and machine: all that may differ between two equal builds.
struct Run {
    std::string id; ///< UUIDv7
    Time started{};
    Time finished{};
    std::string machine;
    std::string user;
    std::string root; ///< folder of the repository on that machine
};

struct Manifest {
    Build build;
    std::vector<File> files;
    std::vector<Step> steps;
    std::vector<Artifact> artifacts;
    std::vector<Hole> holes;
    Run run;

    [[nodiscard]] bool complete() const noexcept { return holes.empty(); }
};

inline constexpr std::string_view manifest_schema = "stemma.manifest/1";

/// Sorts files, steps, artifacts and holes and renumbers the indexes; what to_json() needs.
void normalise(Manifest& manifest);

/// throws  corrupt: an index is out of range
Json to_json(const Manifest& manifest);

/// throws  corrupt: not a manifest, an unknown word, an index out of range, more than 4 M files;
///         unsupported: a newer schema
Manifest manifest_from_json(const Json& json);
/// Bounded by `text`'s own size; every prefix of a manifest is refused.
Manifest parse_manifest(std::string_view text, std::string_view name);

/// Digest of the canonical text: identity of this manifest.
Digest manifest_digest(const Manifest& manifest);
/// The same without "run": equal for equal builds.
Digest content_digest(const Manifest& manifest);

} // namespace stemma::model
