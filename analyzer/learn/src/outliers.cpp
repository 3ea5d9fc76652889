#include "stemma/analyzer/outliers.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "random.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t trees = 300;
constexpr std::size_t sample_size = 128;
constexpr std::size_t tries = 40; ///< columns that are looked at for one that splits
constexpr std::size_t most_reasons = 3;

/// Mean depth of an unsuccessful search in a binary tree of n: what a depth is measured by.
double usual_depth(std::size_t n)
{
    if (n < 2) {
        return 0;
    }
    constexpr double euler = 0.5772156649;
    const auto count = static_cast<double>(n);
    return 2 * (std::log(count - 1) + euler) - 2 * (count - 1) / count;
}

class Forest {
public:
    Forest(const Matrix& matrix, std::uint64_t seed)
        : matrix_(matrix), random_(seed), depth_(matrix.vms.size(), 0), blame_(matrix.vms.size())
    {
        for (std::size_t column = 0; column < matrix.columns.size(); ++column) {
            const auto differs = [&](const auto& row) {
                return row[column] != matrix.codes[0][column];
            };
            if (std::any_of(matrix.codes.begin(), matrix.codes.end(), differs)) {
                columns_.push_back(column);
            }
        }
    }

    std::vector<Outlier> run()
    {
        std::vector<std::size_t> all(matrix_.vms.size());
        std::iota(all.begin(), all.end(), std::size_t{0});
        const std::size_t size = std::min(sample_size, all.size());
        for (std::size_t tree = 0; tree < trees; ++tree) {
            for (std::size_t i = 0; i < size; ++i) {
                std::swap(all[i], all[i + random_.below(all.size() - i)]);
            }
            const std::vector<std::size_t> sample(all.begin(),
                                                  all.begin() + static_cast<std::ptrdiff_t>(size));
            grow(sample, all, 0);
        }
        return outliers(usual_depth(size));
    }

private:
    struct Question {
        std::size_t column = 0;
        std::uint32_t code = 0;
    };

    /// A column in which the sample differs, and the answer of one of its VMs.
    std::optional<Question> question_for(const std::vector<std::size_t>& sample)
    {
        for (std::size_t i = 0; i < tries && !columns_.empty(); ++i) {
            const std::size_t column = columns_[random_.below(columns_.size())];
            const std::uint32_t code = matrix_.codes[sample[random_.below(sample.size())]][column];
            const auto says = [&](std::size_t row) { return matrix_.codes[row][column] == code; };
            if (!std::all_of(sample.begin(), sample.end(), says)) {
                return Question{column, code};
            }
        }
        return std::nullopt;
    }

    /// sample: what the tree is made of; all: those of all VMs that come along this way
    void grow(const std::vector<std::size_t>& sample,
              const std::vector<std::size_t>& all,
              std::size_t depth)
    {
        const auto question = sample.size() < 2 || depth > 30 ? std::nullopt : question_for(sample);
        if (!question) {
            for (const std::size_t row : all) {
                depth_[row] += static_cast<double>(depth) + usual_depth(sample.size());
            }
            return;
        }
        std::array<std::vector<std::size_t>, 2> samples;
        std::array<std::vector<std::size_t>, 2> alls;
        const auto side = [&](std::size_t row) {
            return matrix_.codes[row][question->column] == question->code ? 1U : 0U;
        };
        for (const std::size_t row : sample) {
            samples[side(row)].push_back(row);
        }
        for (const std::size_t row : all) {
            alls[side(row)].push_back(row);
        }
        for (const std::size_t part : {0U, 1U}) {
            // Who is left nearly alone early owes it to this question.
            if (samples[part].size() * 8 <= sample.size()) {
                for (const std::size_t row : alls[part]) {
                    blame_[row][question->column] += 1.0 / static_cast<double>(depth + 1);
                }
            }
            grow(samples[part], alls[part], depth + 1);
        }
    }

    std::vector<Outlier> outliers(double usual) const
    {
        std::vector<Outlier> found;
        for (std::size_t row = 0; row < matrix_.vms.size(); ++row) {
            Outlier outlier;
            outlier.vm = row;
            outlier.score =
                usual > 0 ? std::pow(2.0, -depth_[row] / static_cast<double>(trees) / usual) : 0;
            outlier.reasons = reasons_of(row);
            found.push_back(std::move(outlier));
        }
        std::stable_sort(found.begin(), found.end(), [](const Outlier& a, const Outlier& b) {
            return a.score > b.score;
        });
        return found;
    }

    std::vector<Outlier::Reason> reasons_of(std::size_t row) const
    {
        std::vector<std::pair<double, std::size_t>> order;
        for (const auto& [column, weight] : blame_[row]) {
            order.emplace_back(-weight, column);
        }
        std::sort(order.begin(), order.end());
        std::vector<Outlier::Reason> reasons;
        for (std::size_t i = 0; i < order.size() && i < most_reasons; ++i) {
            const std::size_t column = order[i].second;
            const std::string* value = matrix_.value(row, column);
            Outlier::Reason reason;
            reason.feature = matrix_.columns[column].name;
            reason.absent = value == nullptr;
            reason.value = value == nullptr ? std::string() : *value;
            for (std::size_t other = 0; other < matrix_.vms.size(); ++other) {
                const bool same = matrix_.codes[other][column] == matrix_.codes[row][column];
                reason.alike += other != row && same ? 1U : 0U;
            }
            reasons.push_back(std::move(reason));
        }
        return reasons;
    }

    const Matrix& matrix_;
    Random random_;
    std::vector<std::size_t> columns_; ///< in which not all VMs agree
    std::vector<double> depth_;        ///< by VM, summed over trees
    std::vector<std::map<std::size_t, double>> blame_;
};

} // namespace

std::vector<Outlier> find_outliers(const Matrix& matrix, std::uint64_t seed)
{
    if (matrix.vms.size() < 3) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} VMs have no outliers", matrix.vms.size()),
                    "name a set of at least three VMs that have snapshots");
    }
    return Forest(matrix, seed).run();
}

} // namespace stemma::analyzer
