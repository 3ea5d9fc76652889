#include "stemma/analyzer/forest.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "random.hpp"

namespace stemma::analyzer {

namespace {

using Shares = std::vector<double>;

Shares shares_of(const std::vector<Labelled>& some, std::size_t labels)
{
    Shares shares(labels, 0);
    for (const Labelled& one : some) {
        shares[one.label] += 1;
    }
    for (double& share : shares) {
        share /= std::max<double>(1, static_cast<double>(some.size()));
    }
    return shares;
}

/// Gini's impurity times the number of VMs.
double impurity(const std::vector<std::size_t>& counts)
{
    double total = 0;
    double squares = 0;
    for (const std::size_t count : counts) {
        total += static_cast<double>(count);
        squares += static_cast<double>(count) * static_cast<double>(count);
    }
    return total > 0 ? total - squares / total : 0;
}

struct Split {
    std::size_t column = 0;
    std::uint32_t code = 0;
    double gain = 0;
};

class TreeGrower {
public:
    TreeGrower(const Matrix& matrix,
               const std::vector<std::size_t>& columns,
               std::size_t labels,
               const ForestOptions& options,
               Random& random)
        : matrix_(matrix), columns_(columns), labels_(labels), options_(options), random_(random)
    {
    }

    DecisionTree grow(const std::vector<Labelled>& sample)
    {
        add_node(sample, 0);
        return std::move(tree_);
    }

private:
    std::uint32_t add_node(const std::vector<Labelled>& some, std::size_t depth)
    {
        const auto index = static_cast<std::uint32_t>(tree_.nodes.size());
        tree_.nodes.emplace_back();
        tree_.nodes[index].share = shares_of(some, labels_);
        const Split split = depth < options_.depth ? best_split(some) : Split{};
        if (split.gain <= 1e-9) {
            return index;
        }
        std::vector<Labelled> yes;
        std::vector<Labelled> no;
        for (const Labelled& one : some) {
            (matrix_.codes[one.vm][split.column] == split.code ? yes : no).push_back(one);
        }
        const std::uint32_t left = add_node(yes, depth + 1);
        const std::uint32_t right = add_node(no, depth + 1);
        DecisionTree::Node& node = tree_.nodes[index];
        node.feature = static_cast<std::int32_t>(split.column);
        node.absent = split.code == 0;
        node.value =
            split.code == 0 ? std::string() : matrix_.columns[split.column].values[split.code - 1];
        node.yes = left;
        node.no = right;
        return index;
    }

    Split best_split(const std::vector<Labelled>& some)
    {
        // More than the usual root: most columns of a fleet tell nothing.
        const auto tries =
            static_cast<std::size_t>(4 * std::sqrt(static_cast<double>(columns_.size())) + 1);
        Split best;
        for (std::size_t i = 0; i < tries; ++i) {
            try_column(columns_[random_.below(columns_.size())], some, best);
        }
        return best;
    }

    void try_column(std::size_t column, const std::vector<Labelled>& some, Split& best) const
    {
        std::vector<std::size_t> all(labels_, 0);
        std::map<std::uint32_t, std::vector<std::size_t>> by_code;
        for (const Labelled& one : some) {
            auto& counts = by_code[matrix_.codes[one.vm][column]];
            counts.resize(labels_, 0);
            ++counts[one.label];
            ++all[one.label];
        }
        const double before = impurity(all);
        for (const auto& [code, counts] : by_code) {
            std::vector<std::size_t> rest(labels_, 0);
            for (std::size_t label = 0; label < labels_; ++label) {
                rest[label] = all[label] - counts[label];
            }
            const double gain = before - impurity(counts) - impurity(rest);
            if (gain > best.gain) {
                best = {column, code, gain};
            }
        }
    }

    const Matrix& matrix_;
    const std::vector<std::size_t>& columns_;
    std::size_t labels_;
    const ForestOptions& options_;
    Random& random_;
    DecisionTree tree_;
};

/// Columns in which the training VMs differ.
std::vector<std::size_t> telling_columns(const Matrix& matrix, const std::vector<Labelled>& known)
{
    std::vector<std::size_t> columns;
    for (std::size_t column = 0; column < matrix.columns.size(); ++column) {
        const std::uint32_t first = matrix.codes[known.front().vm][column];
        const bool differs = std::any_of(known.begin(), known.end(), [&](const Labelled& one) {
            return matrix.codes[one.vm][column] != first;
        });
        if (differs) {
            columns.push_back(column);
        }
    }
    return columns;
}

/// As many of each label as the rarest one has, drawn with replacement.
std::vector<Labelled>
draw_evenly(const std::vector<std::vector<Labelled>>& by_label, std::size_t each, Random& random)
{
    std::vector<Labelled> sample;
    for (const auto& some : by_label) {
        for (std::size_t i = 0; i < each; ++i) {
            sample.push_back(some[random.below(some.size())]);
        }
    }
    return sample;
}

template <typename Use>
void for_each_question(std::vector<DecisionTree>& trees, Use&& use)
{
    for (DecisionTree& tree : trees) {
        for (DecisionTree::Node& node : tree.nodes) {
            if (node.feature >= 0) {
                use(node);
            }
        }
    }
}

/// Trees name columns of the matrix; a model names the features that it asks for, in order.
void name_features(const Matrix& matrix, ForestModel& model)
{
    std::map<std::string, std::int32_t> indices;
    for_each_question(model.trees, [&](const DecisionTree::Node& node) {
        indices.emplace(matrix.columns[static_cast<std::size_t>(node.feature)].name, 0);
    });
    for (auto& [name, index] : indices) {
        index = static_cast<std::int32_t>(model.features.size());
        model.features.push_back(name);
    }
    for_each_question(model.trees, [&](DecisionTree::Node& node) {
        node.feature = indices[matrix.columns[static_cast<std::size_t>(node.feature)].name];
    });
}

} // namespace

ForestModel train_forest(const Matrix& matrix,
                         const std::vector<Labelled>& known,
                         const std::vector<std::string>& labels,
                         const ForestOptions& options)
{
    std::vector<std::vector<Labelled>> by_label(labels.size());
    for (const Labelled& one : known) {
        by_label[one.label].push_back(one);
    }
    std::size_t rarest = known.size();
    for (std::size_t label = 0; label < labels.size(); ++label) {
        rarest = std::min(rarest, by_label[label].size());
        if (by_label[label].size() < 2) {
            throw Error(
                ErrorCode::usage,
                fmt::format("only {} VM has the label '{}'", by_label[label].size(), labels[label]),
                "put each label on two VMs at least: stemma learn label vm:NAME LABEL");
        }
    }
    if (labels.size() < 2) {
        throw Error(ErrorCode::usage,
                    "a classifier needs two labels at least",
                    "label healthy VMs too: stemma learn label vm:NAME healthy");
    }
    const auto columns = telling_columns(matrix, known);
    ForestModel model;
    model.labels = labels;
    Random random(options.seed);
    for (std::size_t i = 0; i < options.trees && !columns.empty(); ++i) {
        TreeGrower grower(matrix, columns, labels.size(), options, random);
        model.trees.push_back(
            grower.grow(draw_evenly(by_label, std::max<std::size_t>(rarest, 4), random)));
    }
    name_features(matrix, model);
    return model;
}

namespace {

/// Adds one tree's answer for one VM, and what each question of its way added to it.
class Tally {
public:
    Tally(const ForestModel& model, const Matrix& ordered, std::size_t row)
        : model_(model),
          ordered_(ordered),
          row_(row),
          sum_(model.labels.size(), 0),
          base_(model.labels.size(), 0)
    {
    }

    void add(const DecisionTree& tree)
    {
        std::size_t at = 0;
        add_to(base_, tree.nodes[0].share);
        while (tree.nodes[at].feature >= 0) {
            const DecisionTree::Node& node = tree.nodes[at];
            const auto feature = static_cast<std::size_t>(node.feature);
            const std::string* value = ordered_.value(row_, feature);
            const bool yes =
                node.absent ? value == nullptr : value != nullptr && *value == node.value;
            const std::size_t next = yes ? node.yes : node.no;
            auto& parts = parts_[feature];
            parts.resize(sum_.size(), 0);
            for (std::size_t label = 0; label < sum_.size(); ++label) {
                parts[label] += tree.nodes[next].share[label] - node.share[label];
            }
            at = next;
        }
        add_to(sum_, tree.nodes[at].share);
    }

    [[nodiscard]] Verdict verdict() const
    {
        const auto trees = std::max<double>(1, static_cast<double>(model_.trees.size()));
        Verdict verdict;
        for (const double sum : sum_) {
            verdict.probability.push_back(sum / trees);
        }
        const auto best = std::max_element(sum_.begin(), sum_.end());
        verdict.label = static_cast<std::size_t>(best - sum_.begin());
        verdict.base = base_[verdict.label] / trees;
        for (const auto& [feature, weights] : parts_) {
            const std::string* value = ordered_.value(row_, feature);
            verdict.parts.push_back({model_.features[feature],
                                     value == nullptr ? std::string() : *value,
                                     value == nullptr,
                                     weights[verdict.label] / trees});
        }
        std::stable_sort(verdict.parts.begin(),
                         verdict.parts.end(),
                         [](const auto& a, const auto& b) { return a.weight > b.weight; });
        return verdict;
    }

private:
    static void add_to(Shares& sum, const Shares& more)
    {
        for (std::size_t i = 0; i < sum.size(); ++i) {
            sum[i] += more[i];
        }
    }

    const ForestModel& model_;
    const Matrix& ordered_;
    std::size_t row_;
    Shares sum_;
    Shares base_;
    std::map<std::size_t, Shares> parts_;
};

} // namespace

std::vector<Verdict> classify(const ForestModel& model, const Matrix& matrix)
{
    const Matrix ordered = in_order(matrix, model.features);
    std::vector<Verdict> verdicts;
    for (std::size_t row = 0; row < matrix.vms.size(); ++row) {
        Tally tally(model, ordered, row);
        for (const DecisionTree& tree : model.trees) {
            tally.add(tree);
        }
        verdicts.push_back(tally.verdict());
    }
    return verdicts;
}

} // namespace stemma::analyzer
