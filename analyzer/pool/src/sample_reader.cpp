#include "sample_reader.hpp"

#include "stemma/analyzer/key.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "abstraction.hpp"

namespace stemma::analyzer {

namespace {

/// Kinds that repeat what settings of the same files say, or that only name the VM.
bool is_repetition(const Feature& feature)
{
    return feature.kind == "network" ||
           (feature.kind == "system" &&
            (feature.attribute == "hostname" || feature.attribute == "machine_id" ||
             feature.attribute == "time_zone"));
}

} // namespace

bool SampleReader::is_repeating_link(const std::string& path, const std::string& target) const
{
    const std::string folder = path.substr(0, path.rfind('/'));
    if (folder.ends_with(".wants") || folder.ends_with(".requires")) {
        return true; // the unit's own file says it, or its package does
    }
    std::string whole = target.starts_with('/') ? target : folder + "/" + target;
    for (auto at = whole.find("/../"); at != std::string::npos && at > 0; at = whole.find("/../")) {
        const auto before = whole.rfind('/', at - 1);
        whole.erase(before, at + 3 - before);
    }
    return parsed_.contains(whole);
}

SampleReader::SampleReader(Pool& pool, const FeatureSet& features, bool with_details)
    : pool_(pool), features_(features), with_details_(with_details)
{
    sample_.names = OwnNames::of(features);
    canonical_ = std::make_unique<Canonical>(sample_.names, pool.rules_);
    files_ = pool_.child(0, NodeRole::kind, "files");
    types_ = pool_.child(0, NodeRole::kind, "types");
}

Sample SampleReader::read(std::string name)
{
    sample_.name = std::move(name);
    const std::string* last = nullptr;
    for (const Feature& feature : features_.features) {
        if (feature.kind == "setting" && (last == nullptr || *last != feature.file)) {
            last = &feature.file;
            parsed_.insert(feature.file);
        }
    }
    for (const Feature& feature : features_.features) {
        if (feature.kind == "file" && feature.attribute == "target" &&
            is_repeating_link(feature.identity, feature.value)) {
            links_.insert(feature.identity);
        }
    }
    for (const Feature& feature : features_.features) {
        if (is_repetition(feature) ||
            (feature.kind == "setting" && !links_.empty() && links_.contains(feature.file))) {
            continue;
        }
        if (feature.kind == "file") {
            take_file(feature);
        } else if (!feature.file.empty() && feature.kind != "unit" && feature.kind != "package" &&
                   feature.kind != "system") {
            take_setting(feature);
        } else {
            take_other(feature);
        }
    }
    finish();
    return std::move(sample_);
}

void SampleReader::take_file(const Feature& feature)
{
    if (feature.attribute == "sha256" && parsed_.contains(feature.identity)) {
        return; // its settings say it better
    }
    const NodeId file = path_node(feature.identity);
    if (feature.attribute == "kind") {
        return;
    }
    const NodeId node = pool_.child(file, NodeRole::attribute, feature.attribute);
    Pool::Node& made = pool_.nodes_[node];
    if (made.family == 0) {
        const auto parts = split(feature.identity, '/');
        made.family = pool_.family_for("attr:" + feature.attribute + ":" +
                                       std::string(parts.size() > 1 ? parts[1] : ""));
    }
    std::string value =
        feature.attribute == "sha256" ? feature.value : canonical_->name(feature.value);
    const std::string& general = general_path(feature.identity);
    const bool one_of_many = general != feature.identity && feature.attribute != "sha256" &&
                             feature.attribute != "target" && are_alike(general);
    see(node,
        pool_.code_for(node, value),
        one_of_many ? shape(general + ":" + feature.attribute,
                            without_self(value, instance_name(feature.identity, {})))
                    : 0,
        feature);
}

void SampleReader::take_setting(const Feature& feature)
{
    std::string key;
    if (feature.identity.starts_with(feature.file)) {
        key = feature.identity.size() > feature.file.size() + 1
                  ? feature.identity.substr(feature.file.size() + 1) + "/"
                  : std::string();
    } else if (!feature.identity.empty()) {
        key = "[" + feature.identity + "]/";
    }
    key += feature.attribute;
    NodeId parent = path_node(feature.file);
    const auto segments = key_segments(key);
    std::string identity;
    for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
        const std::string segment = canonical_->name(segments[i]);
        parent = pool_.child(parent, NodeRole::record, segment);
        if (pool_.nodes_[parent].family == 0) {
            pool_.nodes_[parent].family = pool_.family_for(general_path(feature.file) + ":" +
                                                           segment.substr(0, segment.find('[')));
        }
        see(parent, code_present, 0, feature, true);
        const auto open = segments[i].find('[');
        if (open != std::string_view::npos && segments[i].size() > open + 2) {
            identity = segments[i].substr(open + 1, segments[i].size() - open - 2);
        }
    }
    take_leaf(feature, parent, segments.back(), identity, key);
}

void SampleReader::take_leaf(const Feature& feature,
                             NodeId parent,
                             std::string_view leaf,
                             const std::string& identity,
                             const std::string& key)
{
    const std::string& general = general_path(feature.file);
    const bool one_of_many = (general != feature.file || !identity.empty()) && are_alike(general);
    const std::string self = one_of_many ? instance_name(feature.file, identity) : std::string();
    const std::string setting = pool_.rules_ == nullptr ? std::string() : feature.file + ":" + key;
    const auto at = leaf.find(element_mark);
    if (at != std::string_view::npos) {
        const auto text = canonical_->value(setting, leaf.substr(at + element_mark.size()));
        if (!text) {
            return;
        }
        const NodeId list = pool_.child(parent, NodeRole::list, leaf.substr(0, at));
        adopt(list, general);
        see(list, code_present, 0, feature, true);
        const NodeId element = pool_.child(list, NodeRole::element, *text);
        adopt(element, general);
        see(element,
            code_present,
            one_of_many ? shape(general + ":" + general_key(key.substr(0, key.find(element_mark))),
                                without_self(*text, self))
                        : 0,
            feature);
        return;
    }
    const auto value = canonical_->value(setting, feature.value);
    if (!value) {
        return;
    }
    const NodeId node = pool_.child(parent, NodeRole::setting, leaf);
    adopt(node, general);
    see(node,
        pool_.code_for(node, *value),
        one_of_many ? shape(general + ":" + general_key(key), without_self(*value, self)) : 0,
        feature);
}

void SampleReader::take_other(const Feature& feature)
{
    const NodeId kind = pool_.child(0, NodeRole::kind, feature.kind);
    see(kind, code_present, 0, feature, true);
    NodeId parent = kind;
    if (!feature.identity.empty()) {
        parent = pool_.child(kind, NodeRole::record, canonical_->name(feature.identity));
        pool_.nodes_[parent].family = pool_.family_for("record:" + feature.kind);
        see(parent, code_present, 0, feature, true);
    }
    const auto at = feature.attribute.find(element_mark);
    if (at != std::string::npos) {
        const NodeId list = pool_.child(parent, NodeRole::list, feature.attribute.substr(0, at));
        see(list, code_present, 0, feature, true);
        const NodeId element =
            pool_.child(list,
                        NodeRole::element,
                        canonical_->name(feature.attribute.substr(at + element_mark.size())));
        pool_.nodes_[element].family = pool_.family_for("kind:" + feature.kind);
        see(element, code_present, 0, feature);
        return;
    }
    const auto value = canonical_->value(feature.kind + ":" + feature.attribute, feature.value);
    if (!value) {
        return;
    }
    const NodeId node = pool_.child(parent, NodeRole::setting, feature.attribute);
    pool_.nodes_[node].family = pool_.family_for("kind:" + feature.kind + ":" + feature.attribute);
    see(node, pool_.code_for(node, *value), 0, feature);
}

void SampleReader::adopt(NodeId node, const std::string& family)
{
    if (pool_.nodes_[node].family == 0) {
        pool_.nodes_[node].family = pool_.family_for(family);
    }
}

NodeId SampleReader::path_node(const std::string& path)
{
    if (path == last_path_ && last_node_ != 0) {
        return last_node_;
    }
    last_path_ = path;
    const std::string general = canonical_->name(path);
    NodeId node = files_;
    mark_present(files_);
    std::string so_far;
    for (const std::string_view part : split(general, '/')) {
        if (part.empty()) {
            continue;
        }
        node = pool_.child(node, NodeRole::path, part);
        so_far.append("/").append(part);
        Pool::Node& made = pool_.nodes_[node];
        if (made.family == 0) {
            made.family =
                pool_.family_for("path:" + general_path_of(so_far.substr(0, so_far.rfind('/'))));
            made.operational = made.operational || operational_reason(so_far) != nullptr;
        }
        mark_present(node);
    }
    last_node_ = node;
    return node;
}

const std::string& SampleReader::general_path(const std::string& path)
{
    if (last_general_ != nullptr && last_general_->first == path) {
        return last_general_->second;
    }
    const auto [found, fresh] = general_.try_emplace(path);
    if (fresh) {
        found->second = general_path_of(path);
    }
    last_general_ = &*found; // stays valid: references into a map survive its growth
    return found->second;
}

NodeId SampleReader::shape(const std::string& name, const std::string& value)
{
    const NodeId list = pool_.child(types_, NodeRole::shape, name);
    mark_present(types_);
    mark_present(list);
    const NodeId element = pool_.child(list, NodeRole::element, value);
    adopt(list, name);
    adopt(element, name);
    mark_present(element);
    return element;
}

void SampleReader::mark_present(NodeId node)
{
    if (node >= marks_.size()) {
        marks_.resize(std::max<std::size_t>(pool_.nodes_.size(), node + 1), false);
    }
    if (marks_[node]) {
        return;
    }
    marks_[node] = true;
    sample_.seen.push_back({node, code_present, 0});
    if (with_details_) {
        sample_.details.push_back({"", last_path_, 0});
    }
}

void SampleReader::see(
    NodeId node, Code code, NodeId shape_element, const Feature& feature, bool inner)
{
    if (node >= marks_.size()) {
        marks_.resize(std::max<std::size_t>(pool_.nodes_.size(), node + 1), false);
    }
    if (marks_[node]) {
        return;
    }
    marks_[node] = true;
    sample_.seen.push_back({node, code, shape_element});
    if (with_details_) {
        sample_.details.push_back(
            {inner ? std::string() : feature.value, feature.file, feature.line});
    }
}

void SampleReader::finish()
{
    const auto by_node = [](const Observation& a, const Observation& b) { return a.node < b.node; };
    if (!with_details_) {
        if (!std::is_sorted(sample_.seen.begin(), sample_.seen.end(), by_node)) {
            std::sort(sample_.seen.begin(), sample_.seen.end(), by_node);
        }
        return;
    }
    std::vector<std::size_t> order(sample_.seen.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return by_node(sample_.seen[a], sample_.seen[b]);
    });
    std::vector<Observation> seen;
    std::vector<Detail> details;
    seen.reserve(order.size());
    details.reserve(order.size());
    for (const std::size_t i : order) {
        seen.push_back(sample_.seen[i]);
        details.push_back(std::move(sample_.details[i]));
    }
    sample_.seen = std::move(seen);
    sample_.details = std::move(details);
}

Sample Pool::read(std::string name, const FeatureSet& features, bool with_details)
{
    return SampleReader(*this, features, with_details).read(std::move(name));
}

} // namespace stemma::analyzer
