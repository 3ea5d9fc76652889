#include "stemma/analyzer/forest.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "compare_set.hpp"
#include "learn.hpp"

/// `learn train`, `learn score`.
namespace stemma::cli {

namespace {

using analyzer::Matrix;

constexpr std::uint64_t largest_model = 1ULL << 29U;
constexpr std::size_t shown_parts = 3;

/// The labelled VMs that the table has.
struct Training {
    std::vector<analyzer::Labelled> known;
    std::vector<std::string> labels;
    Json list = Json::array();
};

Training
training_of(const Matrix& matrix, const Fleet& fleet, const std::map<std::string, Label>& labels)
{
    Training training;
    std::set<std::string> words;
    for (const auto& name : matrix.vms) {
        if (const auto found = labels.find(name); found != labels.end()) {
            words.insert(found->second.label);
        }
    }
    training.labels.assign(words.begin(), words.end());
    for (std::size_t row = 0; row < matrix.vms.size(); ++row) {
        const auto found = labels.find(matrix.vms[row]);
        if (found == labels.end()) {
            continue;
        }
        const auto at =
            std::lower_bound(training.labels.begin(), training.labels.end(), found->second.label);
        training.known.push_back({row, static_cast<std::size_t>(at - training.labels.begin())});
        const auto snapshot = fleet.snapshots.find(matrix.vms[row]);
        training.list.push_back(
            {{"vm", json_text(matrix.vms[row])},
             {"label", found->second.label},
             {"snapshot",
              snapshot == fleet.snapshots.end() ? Json(nullptr) : Json(snapshot->second)}});
    }
    return training;
}

Json validation_item(const analyzer::Validation& validation,
                     const std::vector<std::string>& labels,
                     std::size_t label)
{
    const auto& row = validation.confusion[label];
    std::size_t said = 0;
    std::size_t all = 0;
    for (std::size_t other = 0; other < labels.size(); ++other) {
        said += validation.confusion[other][label];
        all += row[other];
    }
    const auto share = [&](std::size_t of) {
        constexpr double parts = 1000; // of few VMs: more digits would say nothing
        return of == 0 ? Json(nullptr)
                       : Json(std::round(parts * static_cast<double>(row[label]) /
                                         static_cast<double>(of)) /
                              parts);
    };
    return {{"label", labels[label]},
            {"vms", all},
            {"right", row[label]},
            {"recall", share(all)},
            {"precision", share(said)}};
}

analyzer::ModelFile load_model(const Args& args)
{
    const auto file = args.value("model");
    if (!file) {
        throw Error(
            ErrorCode::usage, "no model is named", "give --model FILE, made by learn train");
    }
    return analyzer::model_from_json(parse_json(read_file(*file, largest_model), *file));
}

} // namespace

int run_learn_train(Context& context, const Args& args)
{
    const auto file = args.value("out");
    if (!file) {
        throw Error(ErrorCode::usage, "no file for the model is named", "give --out FILE");
    }
    const Fleet fleet = read_fleet(context, args);
    const Matrix matrix = analyzer::matrix_of(*fleet.pool, {});
    const Training training = training_of(matrix, fleet, read_labels(labels_file(context, args)));
    analyzer::ModelFile model;
    model.model = analyzer::train_forest(matrix, training.known, training.labels);
    const auto folds = static_cast<std::size_t>(args.number("folds", 2, 50).value_or(5));
    model.provenance.validation =
        analyzer::cross_validate(matrix, training.known, training.labels, folds);
    model.provenance.made_at = format_time(context.clock().now());
    model.provenance.made_by = "stemma";
    model.provenance.schema = analyzer::schema_digest(matrix);
    model.provenance.training = training.list;
    write_file(*file, canonical_json(to_json(model)) + "\n");
    const analyzer::Validation& validation = model.provenance.validation;
    Answer answer;
    answer.schema = "stemma.training/1";
    answer.gaps = fleet.gaps;
    for (std::size_t label = 0; label < training.labels.size(); ++label) {
        answer.items.push_back(validation_item(validation, training.labels, label));
    }
    answer.extra = {{"model", *file},
                    {"folds", validation.folds},
                    {"accuracy", validation.folds == 0 ? Json(nullptr) : Json(validation.accuracy)},
                    {"baseline", validation.baseline},
                    {"features", model.model.features.size()}};
    if (validation.folds == 0) {
        context.log().warning("not validated: each label needs three VMs for that");
    } else {
        context.log().info("{}-fold: {:.0f}% right; always saying the commonest label: {:.0f}%",
                           validation.folds,
                           100 * validation.accuracy,
                           100 * validation.baseline);
    }
    return show(context,
                answer,
                {{"LABEL", "label"},
                 {"VMS", "vms", Column::Align::right},
                 {"RIGHT", "right", Column::Align::right},
                 {"RECALL", "recall", Column::Align::right},
                 {"PRECISION", "precision", Column::Align::right}});
}

int run_learn_score(Context& context, const Args& args)
{
    const analyzer::ModelFile model = load_model(args);
    const Fleet fleet = read_fleet(context, args);
    const Matrix matrix = analyzer::matrix_of(*fleet.pool, {});
    Answer answer;
    answer.schema = "stemma.score/1";
    answer.gaps = fleet.gaps;
    const auto verdicts = analyzer::classify(model.model, matrix);
    for (std::size_t row = 0; row < verdicts.size(); ++row) {
        const auto& verdict = verdicts[row];
        Json parts = Json::array();
        std::string words;
        for (const auto& part : verdict.parts) {
            parts.push_back({{"feature", json_text(part.feature)},
                             {"value", part.absent ? Json(nullptr) : json_text(part.value)},
                             {"weight", part.weight}});
            if (parts.size() <= shown_parts && part.weight > 0) {
                words += fmt::format("{}{} {} ({:+.2f})",
                                     words.empty() ? "" : "; ",
                                     printable(part.feature),
                                     part.absent ? "is not there" : "= " + printable(part.value),
                                     part.weight);
            }
        }
        answer.items.push_back(
            {{"vm", json_text(matrix.vms[row])},
             {"label", model.model.labels[verdict.label]},
             {"probability", verdict.probability[verdict.label]},
             {"shown", fmt::format("{:.2f}", verdict.probability[verdict.label])},
             {"base", verdict.base},
             {"because", words},
             {"parts", std::move(parts)}});
    }
    answer.extra = {{"labels", model.model.labels},
                    {"trained", model.provenance.made_at},
                    {"same_features", model.provenance.schema == analyzer::schema_digest(matrix)}};
    return show(context,
                answer,
                {{"VM", "vm"},
                 {"LABEL", "label"},
                 {"PROBABILITY", "shown", Column::Align::right},
                 {"BECAUSE", "because"}});
}

} // namespace stemma::cli
