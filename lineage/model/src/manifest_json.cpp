#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/model/manifest.hpp"

#include <limits>

namespace stemma::model {

namespace {

constexpr std::size_t most_files = 4'000'000;

Json texts(const std::vector<std::string>& list)
{
    Json json = Json::array();
    for (const auto& text : list) {
        json.push_back(json_text(text));
    }
    return json;
}

Json indexes(const std::vector<FileIndex>& list, std::size_t files)
{
    Json json = Json::array();
    for (const auto index : list) {
        if (index >= files) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("a step names file {} of {}", index, files));
        }
        json.push_back(index);
    }
    return json;
}

Json file_to_json(const File& file)
{
    return {{"blob", json_or_null(file.blob)},
            {"index_blob", json_or_null(file.index_blob)},
            {"package", json_or_null(file.package)},
            {"path", json_text(file.path)},
            {"repo", json_text(file.repo)},
            {"sha256", file.sha256.hex()},
            {"size", file.size},
            {"state", to_string(file.state)}};
}

Json step_to_json(const Step& step, std::size_t files)
{
    Json json = {{"argv", texts(step.argv)},
                 {"cwd", json_text(step.cwd)},
                 {"exit", step.exit},
                 {"inputs", indexes(step.inputs, files)},
                 {"kind", to_string(step.kind)},
                 {"outputs", indexes(step.outputs, files)},
                 {"target", json_text(step.target)},
                 {"tool", nullptr}};
    if (step.tool) {
        json["tool"] = indexes({*step.tool}, files).front();
    }
    for (const auto& input : step.unsettled) {
        json["unsettled"].push_back(
            {{"file", indexes({input.file}, files).front()}, {"reason", json_text(input.reason)}});
    }
    return json;
}

Json artifact_to_json(const Artifact& artifact, const Manifest& manifest)
{
    if (artifact.step && *artifact.step >= manifest.steps.size()) {
        throw Error(ErrorCode::corrupt, "an artifact names a step that is not there");
    }
    return {{"build_id", json_or_null(artifact.build_id)},
            {"file", indexes({artifact.file}, manifest.files.size()).front()},
            {"kind", to_string(artifact.kind)},
            {"name", json_text(artifact.name)},
            {"step", artifact.step ? Json(*artifact.step) : Json(nullptr)},
            {"target", json_text(artifact.target)}};
}

Json build_to_json(const Build& build)
{
    return {{"branch", json_or_null(build.branch)},
            {"commit", json_or_null(build.commit)},
            {"dirty", texts(build.dirty)},
            {"name", json_text(build.name)},
            {"repo", json_text(build.repo)},
            {"toolchain", json_text(build.toolchain)}};
}

Json run_to_json(const Run& run)
{
    return {{"finished", format_time(run.finished)},
            {"id", run.id},
            {"machine", json_text(run.machine)},
            {"root", json_text(run.root)},
            {"started", format_time(run.started)},
            {"user", json_text(run.user)}};
}

std::uint64_t unsigned_member(const Json& json, std::string_view key)
{
    const auto value = integer_member(json, key);
    if (value < 0) {
        throw Error(ErrorCode::corrupt, fmt::format("member '{}' is negative", key));
    }
    return static_cast<std::uint64_t>(value);
}

std::uint32_t index_of(const Json& value, std::size_t size, std::string_view what)
{
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= size) {
        throw Error(ErrorCode::corrupt, fmt::format("{} is no index below {}", what, size));
    }
    return value.get<std::uint32_t>();
}

std::vector<std::string> texts_of(const Json& json, std::string_view key)
{
    std::vector<std::string> list;
    for (const auto& text : array_member(json, key)) {
        list.push_back(text_of(text, key));
    }
    return list;
}

std::vector<FileIndex> indexes_of(const Json& json, std::string_view key, std::size_t files)
{
    std::vector<FileIndex> list;
    const auto& values = array_member(json, key);
    list.reserve(values.size());
    for (const auto& value : values) {
        list.push_back(index_of(value, files, key));
    }
    return list;
}

template <typename Enum>
Enum word_member(const Json& json,
                 std::string_view key,
                 std::optional<Enum> (*read)(std::string_view) noexcept)
{
    const auto word = string_member(json, key);
    if (const auto value = read(word)) {
        return *value;
    }
    throw Error(ErrorCode::corrupt, fmt::format("unknown {} '{}'", key, printable(word)));
}

std::optional<std::string> hex_member(const Json& json, std::string_view key, std::size_t digits)
{
    auto text = optional_string_member(json, key);
    if (text && (!from_hex(*text) || (digits != 0 && text->size() != digits))) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("member '{}' is not {} hexadecimal digits", key, digits));
    }
    return text;
}

File file_from_json(const Json& json)
{
    File file;
    file.path = string_member(json, "path");
    file.repo = string_member(json, "repo");
    const auto digest = Digest::from_hex(string_member(json, "sha256"));
    if (!digest) {
        throw Error(ErrorCode::corrupt, "member 'sha256' is not 64 hexadecimal digits");
    }
    file.sha256 = *digest;
    file.size = unsigned_member(json, "size");
    file.state = word_member<FileState>(json, "state", file_state_from);
    file.blob = hex_member(json, "blob", 40);
    file.index_blob = hex_member(json, "index_blob", 40);
    file.package = optional_string_member(json, "package");
    return file;
}

Step step_from_json(const Json& json, std::size_t files)
{
    Step step;
    step.kind = word_member<StepKind>(json, "kind", step_kind_from);
    if (const auto& tool = member(json, "tool"); !tool.is_null()) {
        step.tool = index_of(tool, files, "tool");
    }
    step.argv = texts_of(json, "argv");
    step.cwd = string_member(json, "cwd");
    const auto exit = integer_member(json, "exit");
    if (exit < std::numeric_limits<int>::min() || exit > std::numeric_limits<int>::max()) {
        throw Error(ErrorCode::corrupt, "member 'exit' is no exit status");
    }
    step.exit = static_cast<int>(exit);
    step.target = string_member(json, "target");
    step.inputs = indexes_of(json, "inputs", files);
    step.outputs = indexes_of(json, "outputs", files);
    if (json.contains("unsettled")) {
        for (const auto& input : array_member(json, "unsettled")) {
            step.unsettled.push_back({index_of(member(input, "file"), files, "unsettled"),
                                      string_member(input, "reason")});
        }
    }
    return step;
}

Artifact artifact_from_json(const Json& json, const Manifest& manifest)
{
    Artifact artifact;
    artifact.file = index_of(member(json, "file"), manifest.files.size(), "file");
    artifact.name = string_member(json, "name");
    artifact.kind = word_member<ArtifactKind>(json, "kind", artifact_kind_from);
    artifact.build_id = hex_member(json, "build_id", 0);
    if (const auto& step = member(json, "step"); !step.is_null()) {
        artifact.step = index_of(step, manifest.steps.size(), "step");
    }
    artifact.target = string_member(json, "target");
    return artifact;
}

Build build_from_json(const Json& json)
{
    Build build;
    build.name = string_member(json, "name");
    build.repo = string_member(json, "repo");
    build.commit = hex_member(json, "commit", 0);
    build.branch = optional_string_member(json, "branch");
    build.dirty = texts_of(json, "dirty");
    build.toolchain = string_member(json, "toolchain");
    return build;
}

Time time_member(const Json& json, std::string_view key)
{
    try {
        return parse_time(string_member(json, key));
    } catch (const Error& error) {
        throw Error(ErrorCode::corrupt, fmt::format("member '{}': {}", key, error.message()));
    }
}

Run run_from_json(const Json& json)
{
    Run run;
    run.id = string_member(json, "id");
    run.started = time_member(json, "started");
    run.finished = time_member(json, "finished");
    run.machine = string_member(json, "machine");
    run.user = string_member(json, "user");
    run.root = string_member(json, "root");
    return run;
}

void check_manifest_schema(const Json& json)
{
    const auto schema = string_member(json, "schema");
    if (schema == manifest_schema) {
        return;
    }
    if (schema.rfind("stemma.manifest/", 0) == 0) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("the manifest is of schema '{}', this version reads '{}'",
                                printable(schema),
                                manifest_schema),
                    "use the version of stemma that wrote it, or a newer one");
    }
    throw Error(ErrorCode::corrupt,
                fmt::format("not a manifest: its schema is '{}'", printable(schema)));
}

} // namespace

Json to_json(const Manifest& manifest)
{
    Json files = Json::array();
    for (const auto& file : manifest.files) {
        files.push_back(file_to_json(file));
    }
    Json steps = Json::array();
    for (const auto& step : manifest.steps) {
        steps.push_back(step_to_json(step, manifest.files.size()));
    }
    Json artifacts = Json::array();
    for (const auto& artifact : manifest.artifacts) {
        artifacts.push_back(artifact_to_json(artifact, manifest));
    }
    Json holes = Json::array();
    for (const auto& hole : manifest.holes) {
        holes.push_back({{"pid", hole.pid},
                         {"program", json_text(hole.program)},
                         {"reason", json_text(hole.reason)}});
    }
    return {{"artifacts", std::move(artifacts)},
            {"build", build_to_json(manifest.build)},
            {"complete", manifest.complete()},
            {"files", std::move(files)},
            {"holes", std::move(holes)},
            {"run", run_to_json(manifest.run)},
            {"schema", manifest_schema},
            {"steps", std::move(steps)}};
}

Manifest manifest_from_json(const Json& json)
{
    check_manifest_schema(json);
    Manifest manifest;
    const auto& files = array_member(json, "files");
    if (files.size() > most_files) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} files are more than {}", files.size(), most_files));
    }
    manifest.files.reserve(files.size());
    for (const auto& file : files) {
        manifest.files.push_back(file_from_json(file));
    }
    for (const auto& step : array_member(json, "steps")) {
        manifest.steps.push_back(step_from_json(step, manifest.files.size()));
    }
    for (const auto& artifact : array_member(json, "artifacts")) {
        manifest.artifacts.push_back(artifact_from_json(artifact, manifest));
    }
    for (const auto& hole : array_member(json, "holes")) {
        manifest.holes.push_back({integer_member(hole, "pid"),
                                  string_member(hole, "program"),
                                  string_member(hole, "reason")});
    }
    manifest.build = build_from_json(member(json, "build"));
    manifest.run = run_from_json(member(json, "run"));
    if (bool_member(json, "complete") != manifest.complete()) {
        throw Error(ErrorCode::corrupt, "member 'complete' contradicts the list of holes");
    }
    return manifest;
}

Manifest parse_manifest(std::string_view text, std::string_view name)
{
    const Json json = parse_json(text, name);
    return doing([&] { return manifest_from_json(json); }, "reading the manifest {}", name);
}

} // namespace stemma::model
