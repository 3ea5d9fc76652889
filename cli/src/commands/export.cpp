// `stemma export`: a build, or parts of it, in other tools' formats.

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/export/cyclonedx.hpp"
#include "stemma/export/dsse.hpp"
#include "stemma/export/omnibor.hpp"
#include "stemma/export/spdx.hpp"
#include "stemma/export/statement.hpp"

#include <fcntl.h>

#include <array>

#include "attest.hpp"
#include "groups.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;
using exporting::ContentTable;
using exporting::Deliverable;
using model::Manifest;

constexpr int exit_incomplete = 4;
constexpr std::uint64_t largest_manifest = std::uint64_t{1} << 30U;
const exporting::Tool tool = {"stemma", STEMMA_VERSION};

struct Source {
    Manifest manifest;
    std::vector<Deliverable> deliverables;
};

[[noreturn]] void refuse_word(const Manifest& manifest, const std::string& word)
{
    std::vector<std::string> names;
    for (const auto& artifact : manifest.artifacts) {
        names.push_back(artifact.name);
    }
    const auto near = nearest(word, names);
    throw Error(ErrorCode::not_found,
                fmt::format("the build made no artifact '{}'", printable(word)),
                near ? fmt::format("did you mean '{}'?", printable(*near))
                     : "`stemma export --as slsa SEL` without --only takes all deliverables");
}

/// Programs that were there before anything watched are left out, and not silently.
void tell_unrecorded(Context& context, const Manifest& manifest)
{
    for (const auto& artifact : manifest.artifacts) {
        const bool program = artifact.kind == model::ArtifactKind::executable ||
                             artifact.kind == model::ArtifactKind::shared_library;
        const auto& file = manifest.files[artifact.file];
        if (program && !artifact.step && file.repo == manifest.build.repo) {
            context.log().warning("left out: nothing is recorded of what made {} (--only {} takes "
                                  "it all the same)",
                                  printable(file.path),
                                  printable(artifact.name));
        }
    }
}

Source read_source(Context& context, const Args& args)
{
    const auto& path = args.expect_words(1, 1, "SEL").front();
    if (!fs::is_regular_file(path)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no manifest {}", printable(path)),
                    "`stemma build --out FILE -- CMD` writes one");
    }
    Source source{model::parse_manifest(read_file(path, largest_manifest), path), {}};
    const auto words = args.values("only");
    if (words.empty()) {
        source.deliverables = exporting::deliverables(source.manifest);
        tell_unrecorded(context, source.manifest);
    }
    for (const auto& word : words) {
        auto found = exporting::deliverables_named(source.manifest, word);
        if (found.empty()) {
            refuse_word(source.manifest, word);
        }
        source.deliverables.insert(source.deliverables.end(), found.begin(), found.end());
    }
    if (source.deliverables.empty()) {
        throw Error(ErrorCode::not_found,
                    fmt::format("{} has no deliverable to export", printable(path)),
                    "name an artifact of any kind with --only NAME");
    }
    return source;
}

/// Reads again what the build read and made, as far as it still is what it was.
ContentTable read_contents(Context& context,
                           const Manifest& manifest,
                           std::span<const Deliverable> deliverables,
                           const fs::path& root)
{
    ContentTable table;
    const auto files = exporting::omnibor_files(manifest, deliverables);
    Activity activity(context.progress(), "hashing what the build read", files.size(), "files");
    for (const auto index : files) {
        context.cancel().check();
        activity.advance();
        const auto& file = manifest.files[index];
        if (table.contains(file.sha256)) {
            continue;
        }
        if (!file.repo.empty() && file.repo != manifest.build.repo) {
            continue; // of another checkout, whose place is not known
        }
        try {
            const auto path = root / file.path; // an absolute path stays itself
            const auto fd = open_file(path.string(), O_RDONLY | O_NONBLOCK);
            if (auto names = exporting::name_content(fd.get(), file.sha256)) {
                table.emplace(file.sha256, std::move(*names));
            }
        } catch (const Error& error) {
            context.log().debug("{}", error.one_line());
        }
    }
    return table;
}

fs::path root_of(const Args& args, const Manifest& manifest)
{
    return args.value_or("root", manifest.run.root);
}

void deliver(Context& context, const Args& args, std::string_view text)
{
    const auto path = args.value("out");
    if (!path || *path == "-") {
        context.out(text);
        return;
    }
    write_file(*path, text);
    context.log().info("wrote {}", printable(*path));
}

/// An SBOM as the predicate of a statement about the deliverables.
Json statement_about(std::span<const Deliverable> deliverables, std::string_view type, Json sbom)
{
    Json subjects = Json::array();
    for (const auto& deliverable : deliverables) {
        subjects.push_back({{"digest", {{"sha256", deliverable.sha256.hex()}}},
                            {"name", printable(deliverable.name)}});
    }
    return {{"_type", exporting::statement_type},
            {"predicate", std::move(sbom)},
            {"predicateType", type},
            {"subject", std::move(subjects)}};
}

std::string sealed(const Json& statement, const sodium::SecretKey& key)
{
    return canonical_json(to_json(exporting::sign_envelope(canonical_json(statement), key))) + "\n";
}

std::string slsa(const Source& source, const std::optional<sodium::SecretKey>& key)
{
    std::string text;
    for (const auto& deliverable : source.deliverables) {
        const auto statement = exporting::slsa_statement(source.manifest, deliverable, tool);
        text += key ? sealed(statement, *key) : canonical_json(statement) + "\n";
    }
    return text;
}

std::string sbom(Context& context, const Args& args, const Source& source, bool spdx)
{
    ContentTable names;
    if (args.has("root")) {
        names = read_contents(
            context, source.manifest, source.deliverables, root_of(args, source.manifest));
    }
    auto document =
        spdx ? exporting::spdx_document(source.manifest, source.deliverables, names, tool)
             : exporting::cyclonedx_bom(source.manifest, source.deliverables, names, tool);
    const auto key = secret_key_option(context, args, "sign");
    if (!key) {
        return document.dump(2) + "\n";
    }
    const auto* type = spdx ? "https://spdx.dev/Document/v2.3" : "https://cyclonedx.org/bom/v1.6";
    return sealed(statement_about(source.deliverables, type, std::move(document)), *key);
}

int omnibor(Context& context, const Args& args, const Source& source)
{
    if (args.has("sign")) {
        throw Error(ErrorCode::usage,
                    "OmniBOR manifests are named by their content and carry no signature",
                    "leave --sign out");
    }
    const auto out = args.value("out");
    if (!out || *out == "-") {
        throw Error(ErrorCode::usage,
                    "OmniBOR is a folder of manifests: say which",
                    "add --out FOLDER, e.g. --out .omnibor");
    }
    const auto names = read_contents(
        context, source.manifest, source.deliverables, root_of(args, source.manifest));
    const auto result = exporting::omnibor_manifests(source.manifest, source.deliverables, names);
    for (const auto& manifest : result.manifests) {
        const auto path = fs::path(*out) / exporting::omnibor_path(manifest.id);
        fs::create_directories(path.parent_path());
        write_file(path, manifest.text);
    }
    fs::create_directories(*out);
    write_file(fs::path(*out) / "targets", exporting::omnibor_targets(result.manifests));
    context.log().info("wrote {} input manifests to {}", result.manifests.size(), printable(*out));
    constexpr std::size_t most_named = 10;
    for (std::size_t i = 0; i < result.missing.size() && i < most_named; ++i) {
        context.log().warning(
            "incomplete: {} cannot be read again as the build saw it; {} gets no manifest",
            printable(source.manifest.files[result.missing[i].file].path),
            printable(result.missing[i].wanted_by));
    }
    if (result.missing.size() > most_named) {
        context.log().warning("incomplete: {} more like these", result.missing.size() - most_named);
    }
    return result.missing.empty() ? 0 : exit_incomplete;
}

int run_export(Context& context, const Args& args)
{
    const auto format = args.value("as");
    static const std::vector<std::string> formats = {"slsa", "spdx", "cyclonedx", "omnibor"};
    if (!format || std::find(formats.begin(), formats.end(), *format) == formats.end()) {
        const auto near = format ? nearest(*format, formats) : std::nullopt;
        throw Error(ErrorCode::usage,
                    "--as takes slsa, spdx, cyclonedx or omnibor",
                    near ? fmt::format("did you mean '{}'?", *near) : "");
    }
    const auto source = read_source(context, args);
    int status = 0;
    if (*format == "omnibor") {
        status = omnibor(context, args, source);
    } else if (*format == "slsa") {
        deliver(context, args, slsa(source, secret_key_option(context, args, "sign")));
    } else {
        deliver(context, args, sbom(context, args, source, *format == "spdx"));
    }
    for (const auto& hole : source.manifest.holes) {
        context.log().warning(
            "incomplete: {}: {}", printable(hole.program), printable(hole.reason));
        status = exit_incomplete;
    }
    return status;
}

} // namespace

std::vector<Command> export_commands()
{
    std::vector<Command> commands = {
        {.name = "export",
         .summary = "write a build's provenance or bill of materials in other tools' formats",
         .synopsis = "--as slsa|spdx|cyclonedx|omnibor SEL [--out F] [--sign KEYFILE]",
         .description =
             "Writes what is known of a build's deliverables: its packages, executables and shared "
             "libraries, and static libraries that nothing in the build linked. SEL is "
             "the file of a manifest.\n\n"
             "slsa: one in-toto Statement v1 with SLSA provenance v1 per deliverable, one per "
             "line. spdx: SPDX 2.3 JSON. cyclonedx: CycloneDX 1.6 JSON with the build's steps as "
             "formulation. omnibor: a folder of input manifests with a target index.\n\n"
             "With --sign every statement is wrapped in a DSSE envelope (an SBOM becomes the "
             "predicate of a statement); `stemma verify-attestation` and any other DSSE tool check "
             "it.\n\n"
             "SHA-1 (for SPDX files) and gitoids (OmniBOR) are no functions of what a manifest "
             "holds: with --root they are read again from the files that still are what they were. "
             "The same manifest gives the same bytes.",
         .options = {{.name = "as", .value = "FORMAT", .help = "slsa, spdx, cyclonedx or omnibor"},
                     {.name = "only",
                      .value = "NAME",
                      .help = "only this artifact (name, target, build-id or SHA-256)",
                      .repeats = true},
                     {.name = "out",
                      .value = "FILE",
                      .help = "write to FILE (omnibor: a folder) instead of standard output",
                      .letter = 'o'},
                     {.name = "root",
                      .value = "FOLDER",
                      .help = "the checkout to read contents from again (omnibor: default where "
                              "it was built)"},
                     {.name = "sign",
                      .value = "KEYFILE",
                      .help = "sign with this Ed25519 secret key"}},
         .examples = {{"stemma export --as slsa shop.manifest --sign release.key --out "
                       "shop.intoto.jsonl",
                       "A signed bundle, one attestation per deliverable."},
                      {"stemma export --as spdx shop.manifest --only shopd --root .",
                       "The SBOM of one program, with the SHA-1s that SPDX files have."},
                      {"stemma export --as omnibor shop.manifest --out .omnibor",
                       "Input manifests of everything that was made."}},
         .exits = "4 the build was not observed completely, or a content could not be read again",
         .run = run_export},
    };
    auto more = attestation_commands();
    commands.insert(commands.end(), more.begin(), more.end());
    return commands;
}

} // namespace stemma::cli
