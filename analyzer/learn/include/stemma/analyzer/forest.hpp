#pragma once

#include "stemma/analyzer/matrix.hpp"
#include "stemma/core/json.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// A classifier of VMs: a random forest (Breiman, 2001) of trees whose questions are "has this
/// feature this value?". Features are categories; nothing is assumed of their order.
namespace stemma::analyzer {

/// One VM that somebody put a label on.
struct Labelled {
    std::size_t vm = 0;    ///< row of the matrix
    std::size_t label = 0; ///< index into the labels
};

/// A tree as a list; node 0 is its root.
struct DecisionTree {
    struct Node {
        std::int32_t feature = -1; ///< index into the model's features; -1: a leaf
        std::string value;         ///< asked for; with `absent`: that there is none
        bool absent = false;
        std::uint32_t yes = 0;
        std::uint32_t no = 0;
        std::vector<double> share; ///< of each label among the training VMs that came here
    };
    std::vector<Node> nodes;
};

struct ForestModel {
    std::vector<std::string> labels;   ///< sorted
    std::vector<std::string> features; ///< those that the trees ask for, sorted
    std::vector<DecisionTree> trees;
};

struct ForestOptions {
    std::size_t trees = 200;
    std::size_t depth = 8;
    std::uint64_t seed = 1; ///< the same seed and data give the same model
};

/// throws  usage: fewer than two labels, or one of them with fewer than two VMs
ForestModel train_forest(const Matrix& matrix,
                         const std::vector<Labelled>& known,
                         const std::vector<std::string>& labels,
                         const ForestOptions& options = {});

/// What a model says of one VM.
struct Verdict {
    std::size_t label = 0;
    std::vector<double> probability; ///< by label
    struct Part {
        std::string feature;
        std::string value; ///< of the VM; empty with `absent`
        bool absent = false;
        double weight = 0; ///< added to the label's probability (Saabas' decomposition)
    };
    double base = 0;         ///< the label's probability before anything was asked
    std::vector<Part> parts; ///< the largest weight first; base + all weights = probability
};
/// One per row of the matrix; features that the matrix lacks count as absent.
std::vector<Verdict> classify(const ForestModel& model, const Matrix& matrix);

/// How well models of this kind do on VMs that they were not trained with.
struct Validation {
    std::size_t folds = 0;
    double accuracy = 0;
    double baseline = 0; ///< accuracy of always saying the most common label
    std::vector<std::vector<std::size_t>> confusion; ///< [true label][said label]
};
/// Cross-validation with each label spread evenly over the folds.
/// folds  at most as many as the rarest label has VMs
Validation cross_validate(const Matrix& matrix,
                          const std::vector<Labelled>& known,
                          const std::vector<std::string>& labels,
                          std::size_t folds,
                          const ForestOptions& options = {});

/// Where a model comes from; part of its file.
struct Provenance {
    std::string made_at;           ///< RFC 3339
    std::string made_by;           ///< program and version
    std::string schema;            ///< schema_digest() of the matrix that it was trained with
    Json training = Json::array(); ///< [{"vm","snapshot","label"}…]
    Validation validation;
};

struct ModelFile {
    ForestModel model;
    Provenance provenance;
};

/// {"schema":"stemma.model/1","method":"forest","labels","features","trees","provenance"}; about
/// 60 bytes per node.
Json to_json(const ModelFile& file);
/// throws  corrupt, with the member; unsupported: a newer schema or another method
ModelFile model_from_json(const Json& json);

} // namespace stemma::analyzer
