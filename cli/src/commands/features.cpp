#include "stemma/analyzer/extract.hpp"
#include "stemma/analyzer/matrix.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <filesystem>

#include "compare_set.hpp"
#include "snapshot.hpp"
#include "trees.hpp"

namespace stemma::cli {

namespace {

analyzer::FeatureSet features_asked_for(Context& context, const Args& args)
{
    if (const auto tree = args.value("dir")) {
        args.expect_words(0, 0, "");
        return features_of_tree(context, definition_of(args), *tree);
    }
    const auto& words = args.expect_words(1, 1, "VM or SNAPSHOT");
    if (words[0].starts_with("file:")) {
        return features_of_tree(context, definition_of(args), words[0].substr(5));
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

namespace {

/// The table of many VMs: CSV, JSON, or a folder with codes.npy and schema.json.
int show_matrix(Context& context, const Args& args)
{
    const Fleet fleet = read_fleet(context, args);
    const analyzer::MatrixOptions options{.operational = args.has("all"),
                                          .constant = !args.has("varying")};
    const analyzer::Matrix matrix = analyzer::matrix_of(*fleet.pool, options);
    for (const auto& gap : fleet.gaps) {
        context.log().warning("{}: {}", gap.what, gap.reason);
    }
    if (const auto folder = args.value("npy")) {
        std::filesystem::create_directories(*folder);
        Json schema = analyzer::matrix_json(matrix);
        schema.erase("codes");
        const std::filesystem::path place = *folder;
        write_file(place / "codes.npy", analyzer::matrix_npy(matrix));
        write_file(place / "schema.json", canonical_json(schema) + "\n");
        context.log().info(
            "wrote {} VMs × {} features to {}", matrix.vms.size(), matrix.columns.size(), *folder);
    } else if (context.format == Format::json || context.format == Format::ndjson) {
        Json whole = analyzer::matrix_json(matrix);
        whole["complete"] = fleet.gaps.empty();
        context.out(whole.dump() + "\n");
    } else {
        context.out(analyzer::matrix_csv(matrix));
    }
    return fleet.gaps.empty() ? 0 : 4;
}

} // namespace

int run_features(Context& context, const Args& args)
{
    if (args.has("matrix")) {
        return show_matrix(context, args);
    }
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
