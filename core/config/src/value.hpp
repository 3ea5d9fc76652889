#pragma once

#include "stemma/config/yaml.hpp"

#include <string>
#include <vector>

namespace stemma::config {

/// Where something stands in one of a document's files.
struct Mark {
    std::size_t file = 0; ///< index into Document::names
    int line = 0;         ///< from 1
    int column = 0;       ///< from 1
};

/// Our own copy of the tree: a YAML::Node is an alias with shared mutable state.
struct Node::Value {
    enum class Kind { null, scalar, list, map } kind = Kind::null;
    std::string scalar;
    std::vector<std::string> keys; ///< of a map; its values are `elements` in the same order
    std::vector<Mark> key_marks;   ///< in the order of `keys`
    std::vector<Value> elements;
    Mark mark;
};

struct Node::Document {
    std::vector<std::string> names; ///< of its files: one, and one more per overlay
    Value root;

    [[nodiscard]] std::string place(const Mark& mark) const;
};

} // namespace stemma::config
