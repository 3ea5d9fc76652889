#include "stemma/analyzer/forest.hpp"
#include "stemma/core/error.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::string_view schema = "stemma.model/1";

/// [feature, value or null, yes, no, shares]; leaves have the feature -1 and no more but shares.
Json node_to_json(const DecisionTree::Node& node)
{
    return {node.feature,
            node.absent ? Json(nullptr) : json_text(node.value),
            node.yes,
            node.no,
            node.share};
}

[[noreturn]] void refuse(std::string_view what)
{
    throw Error(ErrorCode::corrupt, fmt::format("the model is damaged: {}", what));
}

DecisionTree::Node node_from_json(const Json& json, std::size_t labels)
{
    const bool shaped = json.is_array() && json.size() == 5 && json[0].is_number_integer() &&
                        json[2].is_number_unsigned() && json[3].is_number_unsigned() &&
                        json[4].is_array() && json[4].size() == labels;
    if (!shaped) {
        refuse("a node of a tree");
    }
    DecisionTree::Node node;
    node.feature = json[0].get<std::int32_t>();
    node.absent = json[1].is_null();
    node.value = node.absent ? std::string() : text_of(json[1], "a node's value");
    node.yes = json[2].get<std::uint32_t>();
    node.no = json[3].get<std::uint32_t>();
    for (const Json& share : json[4]) {
        if (!share.is_number()) {
            refuse("a share that is no number");
        }
        node.share.push_back(share.get<double>());
    }
    return node;
}

/// Children come after their parents, so that no way through a tree has a loop.
DecisionTree tree_from_json(const Json& json, const ForestModel& model)
{
    DecisionTree tree;
    if (!json.is_array() || json.empty()) {
        refuse("a tree without nodes");
    }
    for (const Json& one : json) {
        tree.nodes.push_back(node_from_json(one, model.labels.size()));
    }
    for (std::size_t i = 0; i < tree.nodes.size(); ++i) {
        const DecisionTree::Node& node = tree.nodes[i];
        const bool leaf = node.feature < 0;
        const bool ahead = node.yes > i && node.no > i && node.yes < tree.nodes.size() &&
                           node.no < tree.nodes.size();
        const bool known = leaf || static_cast<std::size_t>(node.feature) < model.features.size();
        if (!known || (!leaf && !ahead)) {
            refuse("a node that leads nowhere");
        }
    }
    return tree;
}

std::vector<std::string> texts_of(const Json& object, std::string_view name)
{
    std::vector<std::string> texts;
    for (const Json& one : array_member(object, name)) {
        texts.push_back(text_of(one, name));
    }
    return texts;
}

Json to_json(const Provenance& provenance)
{
    const Validation& validation = provenance.validation;
    return {{"made_at", provenance.made_at},
            {"made_by", provenance.made_by},
            {"features_sha256", provenance.schema},
            {"training", provenance.training},
            {"validation",
             {{"folds", validation.folds},
              {"accuracy", validation.accuracy},
              {"baseline", validation.baseline},
              {"confusion", validation.confusion}}}};
}

} // namespace

Json to_json(const ModelFile& file)
{
    Json features = Json::array();
    for (const auto& name : file.model.features) {
        features.push_back(json_text(name));
    }
    Json trees = Json::array();
    for (const DecisionTree& tree : file.model.trees) {
        Json nodes = Json::array();
        for (const auto& node : tree.nodes) {
            nodes.push_back(node_to_json(node));
        }
        trees.push_back(std::move(nodes));
    }
    return {{"schema", schema},
            {"method", "forest"},
            {"labels", file.model.labels},
            {"features", std::move(features)},
            {"trees", std::move(trees)},
            {"provenance", to_json(file.provenance)}};
}

ModelFile model_from_json(const Json& json)
{
    const std::string said = string_member(json, "schema");
    if (said != schema || string_member(json, "method") != "forest") {
        throw Error(ErrorCode::unsupported,
                    fmt::format("a model of schema {} cannot be used here", said),
                    fmt::format("this version reads {} with the method \"forest\"", schema));
    }
    ModelFile file;
    file.model.labels = texts_of(json, "labels");
    file.model.features = texts_of(json, "features");
    for (const Json& tree : array_member(json, "trees")) {
        file.model.trees.push_back(tree_from_json(tree, file.model));
    }
    if (file.model.labels.size() < 2) {
        refuse("fewer than two labels");
    }
    const Json& provenance = member(json, "provenance");
    file.provenance.made_at = string_member(provenance, "made_at");
    file.provenance.made_by = string_member(provenance, "made_by");
    file.provenance.schema = string_member(provenance, "features_sha256");
    file.provenance.training = array_member(provenance, "training");
    return file;
}

} // namespace stemma::analyzer
