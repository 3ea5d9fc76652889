#include "export_source.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/query.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;
using exporting::Deliverable;
using model::Manifest;

constexpr std::uint64_t largest_manifest = std::uint64_t{1} << 30U;

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

ExportSource from_manifest(Context& context, Manifest manifest, const std::string& name)
{
    ExportSource source{std::move(manifest), {}};
    source.deliverables = exporting::deliverables(source.manifest);
    tell_unrecorded(context, source.manifest);
    if (source.deliverables.empty()) {
        throw Error(ErrorCode::not_found,
                    fmt::format("{} has no deliverable to export", printable(name)),
                    "name an artifact of any kind with --only NAME");
    }
    return source;
}

ExportSource only(Manifest manifest, const std::vector<std::string>& words)
{
    ExportSource source{std::move(manifest), {}};
    for (const auto& word : words) {
        auto found = exporting::deliverables_named(source.manifest, word);
        if (found.empty()) {
            refuse_word(source.manifest, word);
        }
        source.deliverables.insert(source.deliverables.end(), found.begin(), found.end());
    }
    return source;
}

/// A package that somebody else built has no manifest: its payload is all that is known.
Manifest unknown_build(const model::Event& event)
{
    Manifest manifest;
    manifest.build.name = string_member(event.body, "name");
    manifest.run.started = event.at;
    manifest.run.finished = manifest.run.started;
    manifest.holes.push_back({0, "", "no build of this package is recorded"});
    return manifest;
}

/// Turns nodes of one query into what is to be exported, one source per build.
class Selected {
public:
    Selected(Context& context, lineage::Store& store, lineage::Query& query)
        : context_(context), store_(store), query_(query)
    {
    }

    void add(lineage::Node node)
    {
        switch (node.kind) {
        case lineage::Kind::artifact: {
            const auto item = query_.item(node);
            const auto build = optional_string_member(item, "build");
            if (build) {
                contents_[*build].insert(string_member(item, "sha256"));
            }
            break;
        }
        case lineage::Kind::package:
            add_package(node);
            break;
        default:
            throw Error(ErrorCode::usage,
                        fmt::format("what is exported are artifacts, packages and builds, no {}",
                                    lineage::to_string(node.kind)),
                        "ask for the packages in it: stemma what SEL --to packages --format "
                        "ndjson | stemma export --as slsa -");
        }
    }

    std::vector<ExportSource> take()
    {
        for (const auto& [build, digests] : contents_) {
            add_artifacts(build, digests);
        }
        for (const auto& event : packages_) {
            const auto build = optional_string_member(event.body, "build");
            auto manifest = build ? store_.find_manifest(*build) : std::nullopt;
            ExportSource source{manifest ? std::move(*manifest) : unknown_build(event), {}};
            source.deliverables.push_back(
                exporting::package_deliverable(source.manifest, event.body));
            sources_.push_back(std::move(source));
        }
        return std::move(sources_);
    }

private:
    /// The last package.packed event about this package says what is in it.
    void add_package(lineage::Node node)
    {
        const auto digest = optional_string_member(query_.item(node), "sha256");
        std::optional<model::Event> last;
        for (const auto seq : query_.history({node})) {
            auto event = query_.event(seq);
            if (event.kind == "package.packed" && digest &&
                optional_string_member(event.body, "sha256") == digest) {
                last = std::move(event);
            }
        }
        if (last) {
            packages_.push_back(std::move(*last));
        } else {
            context_.log().warning("left out: what is in the package {} was never recorded",
                                   printable(words_of(query_.item(node))));
        }
    }

    static std::string words_of(const Json& item)
    {
        return optional_string_member(item, "name").value_or("?");
    }

    /// Deliverables among the chosen contents; objects and the like only when there are none.
    void add_artifacts(const std::string& build, const std::set<std::string>& digests)
    {
        auto manifest = store_.find_manifest(build);
        if (!manifest) {
            return;
        }
        ExportSource source{std::move(*manifest), {}};
        source.deliverables = exporting::deliverables(source.manifest);
        std::erase_if(source.deliverables, [&](const Deliverable& deliverable) {
            return !digests.contains(deliverable.sha256.hex());
        });
        if (source.deliverables.empty()) {
            for (const auto& digest : digests) {
                auto found = exporting::deliverables_named(source.manifest, digest);
                std::move(found.begin(), found.end(), std::back_inserter(source.deliverables));
            }
        }
        if (!source.deliverables.empty()) {
            sources_.push_back(std::move(source));
        }
    }

    Context& context_;
    lineage::Store& store_;
    lineage::Query& query_;
    std::map<std::string, std::set<std::string>> contents_; ///< build → sha256 of artifacts
    std::vector<model::Event> packages_;                    ///< their package.packed events
    std::vector<ExportSource> sources_;
};

std::vector<ExportSource> from_store(Context& context, const std::vector<std::string>& words)
{
    auto& store = context.store();
    lineage::Query query(store, {});
    const auto selection = lineage::parse_selection(words, [](const std::string& name) {
        return name == "-" ? read_file("/dev/stdin") : read_file(name);
    });
    Selected selected(context, store, query);
    for (const auto node : query.select(selection)) {
        selected.add(node);
    }
    auto sources = selected.take();
    if (sources.empty()) {
        throw Error(ErrorCode::not_found,
                    "nothing that is recorded of this selection can be exported",
                    "`stemma what SEL` shows what is known");
    }
    return sources;
}

} // namespace

std::vector<ExportSource> export_sources(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, ~std::size_t{0}, "SEL…");
    const auto names = args.values("only");
    std::vector<ExportSource> sources;
    const bool files = std::all_of(words.begin(), words.end(), [](const std::string& word) {
        return fs::is_regular_file(word);
    });
    const bool selectors = std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return word == "-" || word.starts_with('@') || word.find(':') != std::string::npos;
    });
    if (!files && !selectors) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no manifest {}", printable(words.front())),
                    "`stemma build --out FILE -- CMD` writes one; package:NAME and artifact:NAME "
                    "take what the store knows");
    }
    if (!files) {
        sources = from_store(context, words);
        for (auto& source : sources) {
            source = names.empty() ? std::move(source) : only(std::move(source.manifest), names);
        }
        return sources;
    }
    for (const auto& path : words) {
        auto manifest = model::parse_manifest(read_file(path, largest_manifest), path);
        sources.push_back(names.empty() ? from_manifest(context, std::move(manifest), path)
                                        : only(std::move(manifest), names));
    }
    return sources;
}

} // namespace stemma::cli
