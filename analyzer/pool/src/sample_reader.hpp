#pragma once

#include "stemma/analyzer/pool.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace stemma::analyzer {

/// Turns one feature set into observations of a pool's nodes.
class SampleReader {
public:
    SampleReader(Pool& pool, const FeatureSet& features, bool with_details);
    Sample read(std::string name);

private:
    /// A link to a file whose settings are read under its own name.
    [[nodiscard]] bool is_repeating_link(const std::string& path, const std::string& target) const;
    void take_file(const Feature& feature);
    void take_setting(const Feature& feature);
    void take_leaf(const Feature& feature,
                   NodeId parent,
                   std::string_view leaf,
                   const std::string& identity,
                   const std::string& key);
    void take_other(const Feature& feature);

    NodeId path_node(const std::string& path);
    const std::string& general_path(const std::string& path);
    /// The element of a record type's setting that stands for this value.
    NodeId shape(const std::string& name, const std::string& value);
    void adopt(NodeId node, const std::string& family);
    void mark_present(NodeId node);
    void
    see(NodeId node, Code code, NodeId shape_element, const Feature& feature, bool inner = false);
    void finish();

    Pool& pool_;
    const FeatureSet& features_;
    bool with_details_;
    Sample sample_;
    std::unique_ptr<Canonical> canonical_;
    NodeId files_ = 0;
    NodeId types_ = 0;
    std::vector<bool> marks_;
    std::unordered_set<std::string> parsed_;
    std::unordered_set<std::string> links_; ///< files that are said elsewhere
    std::unordered_map<std::string, std::string> general_;
    const std::pair<const std::string, std::string>* last_general_ = nullptr;
    std::string last_path_;
    NodeId last_node_ = 0;
};

} // namespace stemma::analyzer
