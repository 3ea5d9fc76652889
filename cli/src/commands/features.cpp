#include "stemma/analyzer/extract_image.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/volume/filesystem.hpp"

#include <filesystem>

#include "snapshot.hpp"

namespace stemma::cli {

namespace {

/// A folder or an archive on this machine; nullptr when it is neither.
std::unique_ptr<volume::Filesystem> open_tree(const std::string& path)
{
    if (std::filesystem::is_directory(path)) {
        return volume::open_folder(path);
    }
    for (const auto* ending : {".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"}) {
        if (path.ends_with(ending)) {
            return volume::open_tar(path);
        }
    }
    return nullptr;
}

/// Of a tree that lies on this machine: an unpacked folder, a tar, a disk image.
analyzer::FeatureSet features_of(Context& context, const Args& args, const std::string& path)
{
    const auto definition = definition_of(args);
    const analyzer::ExtractOptions extraction{.clock = context.clock(), .cancel = context.cancel()};
    if (const auto tree = open_tree(path)) {
        return analyzer::extract(*tree, definition, extraction);
    }
    disk::OpenOptions options;
    options.allow.assign(context.settings.image_allow.begin(), context.settings.image_allow.end());
    options.allow.push_back(context.state_folder / "images");
    return analyzer::extract_image(
        disk::open_disk(path, options), std::nullopt, definition, extraction);
}

analyzer::FeatureSet features_asked_for(Context& context, const Args& args)
{
    if (const auto tree = args.value("dir")) {
        args.expect_words(0, 0, "");
        return features_of(context, args, *tree);
    }
    const auto& words = args.expect_words(1, 1, "VM or SNAPSHOT");
    if (words[0].starts_with("file:")) {
        return features_of(context, args, words[0].substr(5));
    }
    return snapshot_folder(context).features(snapshot_named(context, words[0]).id);
}

bool wanted(const analyzer::Feature& feature, const Args& args)
{
    const auto kind = args.value("kind");
    const auto pattern = args.value("name");
    const auto file = args.value("file");
    return (!kind || feature.kind == *kind) && (!pattern || glob_match(*pattern, feature.name())) &&
           (!file || feature.file == *file);
}

} // namespace

int run_features(Context& context, const Args& args)
{
    const auto set = features_asked_for(context, args);
    Answer answer;
    answer.schema = "stemma.features/1";
    auto reports = Json::array();
    for (const auto& report : set.extractors) {
        reports.push_back({{"extractor", report.extractor},
                           {"features", report.features},
                           {"reason", json_text(report.reason)},
                           {"status", to_string(report.status)}});
        if (report.status == analyzer::Status::partial) {
            answer.gaps.push_back({report.extractor, report.reason});
        }
    }
    answer.extra["extractors"] = reports;
    if (args.has("status")) {
        answer.items = std::move(reports);
        return show(context,
                    answer,
                    {{"EXTRACTOR", "extractor"},
                     {"STATUS", "status"},
                     {"FEATURES", "features", Column::Align::right},
                     {"REASON", "reason"}});
    }
    const auto limit = args.number("limit", 0, 1'000'000'000);
    for (const auto& feature : set.features) {
        if (limit && answer.items.size() >= *limit) {
            break;
        }
        if (wanted(feature, args)) {
            answer.items.push_back(analyzer::item_of(feature));
        }
    }
    return show(context,
                answer,
                {{"FEATURE", "name"}, {"VALUE", "value"}, {"FILE", "file"}, {"LINE", "line"}});
}

} // namespace stemma::cli
