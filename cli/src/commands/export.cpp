// `stemma export`: a build, or parts of it, in other tools' formats.

#include "stemma/cli/command.hpp"
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
#include "export_source.hpp"
#include "groups.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;
using exporting::ContentTable;
using exporting::Deliverable;
using model::Manifest;

const exporting::Tool tool = {"stemma", STEMMA_VERSION};

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

int slsa(Context& context, const Args& args, const std::vector<ExportSource>& sources)
{
    const auto key = secret_key_option(context, args, "sign");
    std::string text;
    for (const auto& source : sources) {
        for (const auto& deliverable : source.deliverables) {
            const auto statement = exporting::slsa_statement(source.manifest, deliverable, tool);
            text += key ? sealed(statement, *key) : canonical_json(statement) + "\n";
        }
    }
    deliver(context, args, text);
    return 0;
}

int sbom(Context& context, const Args& args, const ExportSource& source, bool spdx)
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
        deliver(context, args, document.dump(2) + "\n");
        return 0;
    }
    const auto* type = spdx ? "https://spdx.dev/Document/v2.3" : "https://cyclonedx.org/bom/v1.6";
    deliver(context,
            args,
            sealed(statement_about(source.deliverables, type, std::move(document)), *key));
    return 0;
}

int omnibor(Context& context, const Args& args, const ExportSource& source)
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

int tell_holes(Context& context, const std::vector<ExportSource>& sources)
{
    int status = 0;
    for (const auto& source : sources) {
        for (const auto& hole : source.manifest.holes) {
            context.log().warning(
                "incomplete: {}: {}", printable(hole.program), printable(hole.reason));
            status = exit_incomplete;
        }
    }
    return status;
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
    const auto sources = export_sources(context, args);
    if (sources.size() > 1 && *format != "slsa") {
        throw Error(ErrorCode::usage,
                    fmt::format("one {} document describes one build, and this selection is of {}",
                                *format,
                                sources.size()),
                    "choose one by build:ID or a digest; --as slsa takes them all");
    }
    const int status = *format == "omnibor" ? omnibor(context, args, sources.front())
                       : *format == "slsa"
                           ? slsa(context, args, sources)
                           : sbom(context, args, sources.front(), *format == "spdx");
    return std::max(status, tell_holes(context, sources));
}

} // namespace

std::vector<Command> export_commands()
{
    std::vector<Command> commands = {
        {.name = "export",
         .summary = "write a build's provenance or bill of materials in other tools' formats",
         .synopsis = "--as slsa|spdx|cyclonedx|omnibor SEL… [--out F] [--sign KEYFILE]",
         .description =
             "Writes what is known of a build's deliverables: its packages, executables and shared "
             "libraries, and static libraries that nothing in the build linked. SEL is "
             "the file of a manifest, or a selector of artifacts, packages or builds in the "
             "store.\n\n"
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
                      {"stemma export --as cyclonedx package:shop",
                       "What is in a package that the store knows."},
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
