#include "stemma/analyzer/extract.hpp"

#include "stemma/core/error.hpp"

#include "content.hpp"
#include "sink.hpp"

namespace stemma::analyzer {

namespace {

using Extractor = void (*)(Source&, Sink&);

/// Runs one extractor; an error that it did not foresee costs the rest of it only.
template <typename Work>
void guarded(Sink& sink, Work&& work)
{
    try {
        work();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        sink.miss("failures", error.one_line());
    }
}

void run_accounts(Source& source, FeatureSet& set)
{
    Sink users("users", set.features, source.definition.budget.features);
    Sink groups("groups", set.features, source.definition.budget.features);
    // Also when neither is wanted: the owners of files are told by name.
    guarded(users, [&] { extract_accounts(source, users, groups); });
    if (source.definition.wants("users")) {
        set.extractors.push_back(users.report());
    }
    if (source.definition.wants("groups")) {
        set.extractors.push_back(groups.report());
    }
}

void run_content(Source& source, const SettingsParser& parser, FeatureSet& set)
{
    Sink files("files", set.features, source.definition.budget.features);
    Sink settings("settings", set.features, source.definition.budget.features);
    guarded(files, [&] { extract_content(source, parser, files, settings); });
    if (!source.definition.files.empty()) {
        set.extractors.push_back(files.report());
    }
    if (!source.definition.settings.empty()) {
        set.extractors.push_back(settings.report());
    }
}

} // namespace

FeatureSet
extract(volume::Filesystem& tree, const Definition& definition, const ExtractOptions& options)
{
    Source source{tree, definition, options.clock, options.cancel};
    source.deadline = options.clock.now() + std::chrono::seconds(definition.budget.seconds);
    FeatureSet set;
    run_accounts(source, set);
    const std::pair<std::string_view, Extractor> extractors[] = {{"system", extract_system},
                                                                 {"network", extract_network},
                                                                 {"boot", extract_boot},
                                                                 {"mounts", extract_mounts},
                                                                 {"cron", extract_cron},
                                                                 {"units", extract_units}};
    for (const auto& [name, extractor] : extractors) {
        if (definition.wants(name)) {
            Sink sink(std::string(name), set.features, definition.budget.features);
            guarded(sink, [&, run = extractor] { run(source, sink); });
            set.extractors.push_back(sink.report());
        }
    }
    if (!definition.packages.empty()) {
        Sink sink("packages", set.features, definition.budget.features);
        guarded(sink, [&] { extract_packages(source, sink); });
        set.extractors.push_back(sink.report());
    }
    if (!definition.registry.empty()) {
        Sink sink("registry", set.features, definition.budget.features);
        guarded(sink, [&] { extract_registry(source, sink); });
        set.extractors.push_back(sink.report());
    }
    run_content(source, options.settings, set);
    set.arrange();
    return set;
}

} // namespace stemma::analyzer
