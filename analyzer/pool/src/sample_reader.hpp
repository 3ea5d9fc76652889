#pragma once

#include "stemma/analyzer/pool.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "reading_cache.hpp"

namespace stemma::analyzer {

/// Turns one feature set into observations of a pool's nodes.
class SampleReader {
public:
    SampleReader(Pool& pool, const FeatureSet& features, bool with_details);
    Sample read(std::string name);

private:
    /// Files with settings, and links to such: they are said elsewhere.
    void survey();
    /// A link to a file whose settings are read under its own name.
    [[nodiscard]] bool is_repeating_link(const std::string& path, const std::string& target) const;
    [[nodiscard]] bool is_said_elsewhere(const Feature& feature);

    /// The feature in the pool's terms; from the cache where it has that.
    Reading reading_of(const Feature& feature);
    Reading work_out(const Feature& feature);
    Reading file_reading(const Feature& feature);
    Reading setting_reading(const Feature& feature);
    Reading other_reading(const Feature& feature);
    /// Where a setting stands: its parent and what its record is called.
    struct Place {
        NodeId parent = 0;
        std::string_view leaf;
        std::string identity;
        std::string key;
    };
    Reading leaf_reading(const Feature& feature, const Place& place);

    NodeId path_node(const std::string& path);
    const std::string& general_path(const std::string& path);
    /// The element of a record type's setting that stands for this value.
    NodeId shape(const std::string& name, const std::string& value);
    void adopt(NodeId node, const std::string& family);

    void see(const Reading& reading, const Feature& feature);
    /// Marks a node and all above it as there.
    void see_inner(NodeId node, const Feature& feature);
    /// False when the node was seen already.
    bool note(NodeId node, Code code, NodeId shape_element);
    void finish();

    Pool& pool_;
    const FeatureSet& features_;
    bool with_details_;
    Sample sample_;
    std::unique_ptr<Canonical> canonical_;
    std::unique_ptr<OwnNeedles> needles_;
    NodeId files_ = 0;
    NodeId types_ = 0;
    std::vector<bool> marks_;
    std::unordered_set<std::string> parsed_;
    std::unordered_set<std::string> links_; ///< files that are said elsewhere
    std::string last_file_;
    bool last_is_link_ = false;
    std::unordered_map<std::string, std::string> general_;
    const std::pair<const std::string, std::string>* last_general_ = nullptr;
    std::string last_path_;
    NodeId last_node_ = 0;
};

} // namespace stemma::analyzer
