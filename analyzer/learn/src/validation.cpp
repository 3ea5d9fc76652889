#include "stemma/analyzer/forest.hpp"
#include "stemma/core/error.hpp"

#include <algorithm>

namespace stemma::analyzer {

namespace {

/// Rows of a table as a table of their own.
Matrix rows_of(const Matrix& matrix, const std::vector<Labelled>& some)
{
    Matrix part;
    part.columns = matrix.columns;
    for (const Labelled& one : some) {
        part.vms.push_back(matrix.vms[one.vm]);
        part.codes.push_back(matrix.codes[one.vm]);
    }
    return part;
}

} // namespace

Validation cross_validate(const Matrix& matrix,
                          const std::vector<Labelled>& known,
                          const std::vector<std::string>& labels,
                          std::size_t folds,
                          const ForestOptions& options)
{
    std::vector<std::size_t> sizes(labels.size(), 0);
    std::vector<std::size_t> fold_of;
    fold_of.reserve(known.size());
    for (const Labelled& one : known) {
        fold_of.push_back(sizes[one.label]++);
    }
    // Training needs two of each label beside those that are left out.
    const std::size_t rarest = sizes.empty() ? 0 : *std::min_element(sizes.begin(), sizes.end());
    Validation result;
    result.confusion.assign(labels.size(), std::vector<std::size_t>(labels.size(), 0));
    result.folds = rarest < 3 ? 0 : std::min(folds, rarest);
    const std::size_t common = sizes.empty() ? 0 : *std::max_element(sizes.begin(), sizes.end());
    result.baseline =
        static_cast<double>(common) / std::max<double>(1, static_cast<double>(known.size()));
    std::size_t right = 0;
    for (std::size_t fold = 0; fold < result.folds; ++fold) {
        std::vector<Labelled> training;
        std::vector<Labelled> held;
        for (std::size_t i = 0; i < known.size(); ++i) {
            (fold_of[i] % result.folds == fold ? held : training).push_back(known[i]);
        }
        const ForestModel model = train_forest(matrix, training, labels, options);
        const auto verdicts = classify(model, rows_of(matrix, held));
        for (std::size_t i = 0; i < held.size(); ++i) {
            ++result.confusion[held[i].label][verdicts[i].label];
            right += held[i].label == verdicts[i].label ? 1U : 0U;
        }
    }
    result.accuracy =
        result.folds == 0 ? 0 : static_cast<double>(right) / static_cast<double>(known.size());
    return result;
}

} // namespace stemma::analyzer
