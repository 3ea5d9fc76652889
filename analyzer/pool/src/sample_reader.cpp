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
    needles_ = std::make_unique<OwnNeedles>(canonical_->replacements());
    files_ = pool_.child(0, NodeRole::kind, "files");
    types_ = pool_.child(0, NodeRole::kind, "types");
}

void SampleReader::survey()
{
    const std::string* last = nullptr;
    std::vector<const Feature*> links;
    for (const Feature& feature : features_.features) {
        if (feature.kind == "setting") {
            if (last == nullptr || *last != feature.file) {
                last = &feature.file;
                parsed_.insert(feature.file);
            }
        } else if (feature.kind == "file" && feature.attribute == "target") {
            links.push_back(&feature);
        }
    }
    for (const Feature* link : links) {
        if (is_repeating_link(link->identity, link->value)) {
            links_.insert(link->identity);
        }
    }
}

bool SampleReader::is_said_elsewhere(const Feature& feature)
{
    if (feature.kind == "setting") {
        if (links_.empty()) {
            return false;
        }
        if (feature.file != last_file_) { // settings of one file follow each other
            last_file_ = feature.file;
            last_is_link_ = links_.contains(feature.file);
        }
        return last_is_link_;
    }
    if (feature.kind == "file") {
        return feature.attribute == "sha256" && parsed_.contains(feature.identity);
    }
    return is_repetition(feature);
}

Sample SampleReader::read(std::string name)
{
    sample_.name = std::move(name);
    sample_.seen.reserve(features_.features.size() + features_.features.size() / 4);
    survey();
    for (const Feature& feature : features_.features) {
        if (!is_said_elsewhere(feature)) {
            see(reading_of(feature), feature);
        }
    }
    finish();
    return std::move(sample_);
}

Reading SampleReader::reading_of(const Feature& feature)
{
    const std::uint64_t key = hash_of(feature);
    ReadingCache::Entry* entry = &pool_.cache_->at(key);
    if (entry->trigrams == ReadingCache::Trigrams{}) {
        entry->trigrams = trigrams_of(feature);
        entry->of_disks = feature.value.find("UUID=") != std::string::npos ||
                          feature.attribute.find("UUID=") != std::string::npos;
    }
    if (entry->of_disks) {
        return work_out(feature);
    }
    if (const auto signature = needles_->signature(feature, entry->trigrams); signature != 0) {
        entry = &pool_.cache_->at(key ^ signature);
    }
    if (!entry->known) {
        entry->reading = work_out(feature);
        entry->known = true;
    }
    return entry->reading;
}

Reading SampleReader::work_out(const Feature& feature)
{
    if (feature.kind == "file") {
        return file_reading(feature);
    }
    const bool in_file = !feature.file.empty() && feature.kind != "unit" &&
                         feature.kind != "package" && feature.kind != "system";
    return in_file ? setting_reading(feature) : other_reading(feature);
}

Reading SampleReader::file_reading(const Feature& feature)
{
    const NodeId file = path_node(feature.identity);
    if (feature.attribute == "kind") {
        return {.parent = file};
    }
    const NodeId node = pool_.child(file, NodeRole::attribute, feature.attribute);
    if (pool_.nodes_[node].family == 0) {
        const auto parts = split(feature.identity, '/');
        std::string family = "attr:" + feature.attribute + ":";
        adopt(node, family.append(parts.size() > 1 ? parts[1] : ""));
    }
    const std::string value =
        feature.attribute == "sha256" ? feature.value : canonical_->name(feature.value);
    const std::string& general = general_path(feature.identity);
    const bool one_of_many = general != feature.identity && feature.attribute != "sha256" &&
                             feature.attribute != "target" && are_alike(general);
    const Code code = pool_.code_for(node, value);
    const NodeId same = one_of_many
                            ? shape(general + ":" + feature.attribute,
                                    without_self(value, instance_name(feature.identity, {})))
                            : 0;
    return {node, file, code, same};
}

Reading SampleReader::setting_reading(const Feature& feature)
{
    Place place;
    if (feature.identity.starts_with(feature.file)) {
        if (feature.identity.size() > feature.file.size() + 1) {
            place.key.append(feature.identity, feature.file.size() + 1).append("/");
        }
    } else if (!feature.identity.empty()) {
        place.key.append("[").append(feature.identity).append("]/");
    }
    place.key += feature.attribute;
    place.parent = path_node(feature.file);
    const auto segments = key_segments(place.key);
    for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
        const std::string segment = canonical_->name(segments[i]);
        place.parent = pool_.child(place.parent, NodeRole::record, segment);
        if (pool_.nodes_[place.parent].family == 0) {
            std::string family = general_path(feature.file);
            adopt(place.parent, family.append(":").append(segment, 0, segment.find('[')));
        }
        const auto open = segments[i].find('[');
        if (open != std::string_view::npos && segments[i].size() > open + 2) {
            place.identity = segments[i].substr(open + 1, segments[i].size() - open - 2);
        }
    }
    place.leaf = segments.back();
    if (place.leaf == empty_record) {
        return {.parent = place.parent}; // that the record is there is all it says
    }
    return leaf_reading(feature, place);
}

Reading SampleReader::leaf_reading(const Feature& feature, const Place& place)
{
    const std::string& general = general_path(feature.file);
    const bool one_of_many =
        (general != feature.file || !place.identity.empty()) && are_alike(general);
    const std::string self =
        one_of_many ? instance_name(feature.file, place.identity) : std::string();
    std::string setting;
    if (pool_.rules_ != nullptr) {
        setting.append(feature.file).append(":").append(place.key);
    }
    const auto at = place.leaf.find(element_mark);
    const bool is_element = at != std::string_view::npos;
    const auto text = canonical_->value(
        setting, is_element ? place.leaf.substr(at + element_mark.size()) : feature.value);
    if (!text) {
        return {.parent = place.parent};
    }
    const std::string_view key =
        std::string_view(place.key).substr(0, place.key.find(element_mark));
    Reading reading;
    if (is_element) {
        reading.parent = pool_.child(place.parent, NodeRole::list, place.leaf.substr(0, at));
        adopt(reading.parent, general);
        reading.leaf = pool_.child(reading.parent, NodeRole::element, *text);
        reading.code = code_present;
    } else {
        reading.parent = place.parent;
        reading.leaf = pool_.child(place.parent, NodeRole::setting, place.leaf);
        reading.code = pool_.code_for(reading.leaf, *text);
    }
    adopt(reading.leaf, general);
    if (one_of_many) {
        reading.shape = shape(general + ":" + general_key(key), without_self(*text, self));
    }
    return reading;
}

Reading SampleReader::other_reading(const Feature& feature)
{
    const NodeId kind = pool_.child(0, NodeRole::kind, feature.kind);
    Reading reading;
    reading.parent = kind;
    if (!feature.identity.empty()) {
        reading.parent = pool_.child(kind, NodeRole::record, canonical_->name(feature.identity));
        adopt(reading.parent, "record:" + feature.kind);
    }
    const auto at = feature.attribute.find(element_mark);
    if (at != std::string::npos) {
        reading.parent =
            pool_.child(reading.parent, NodeRole::list, feature.attribute.substr(0, at));
        reading.leaf = pool_.child(
            reading.parent,
            NodeRole::element,
            canonical_->name(std::string_view(feature.attribute).substr(at + element_mark.size())));
        adopt(reading.leaf, "kind:" + feature.kind);
        reading.code = code_present;
        return reading;
    }
    const std::string setting = feature.kind + ":" + feature.attribute;
    const auto value = canonical_->value(setting, feature.value);
    if (value) {
        reading.leaf = pool_.child(reading.parent, NodeRole::setting, feature.attribute);
        adopt(reading.leaf, "kind:" + setting);
        reading.code = pool_.code_for(reading.leaf, *value);
    }
    return reading;
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
    std::string so_far;
    for (const std::string_view part : split(general, '/')) {
        if (part.empty()) {
            continue;
        }
        node = pool_.child(node, NodeRole::path, part);
        so_far.append("/").append(part);
        if (pool_.nodes_[node].family == 0) {
            adopt(node, "path:" + general_path_of(so_far.substr(0, so_far.rfind('/'))));
            Pool::Node& made = pool_.nodes_[node];
            made.operational = made.operational || operational_reason(so_far) != nullptr;
        }
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
    const NodeId element = pool_.child(list, NodeRole::element, value);
    adopt(list, name);
    adopt(element, name);
    return element;
}

bool SampleReader::note(NodeId node, Code code, NodeId shape_element)
{
    if (node >= marks_.size()) {
        marks_.resize(std::max<std::size_t>(pool_.nodes_.size(), node + 1), false);
    }
    if (marks_[node]) {
        return false;
    }
    marks_[node] = true;
    sample_.seen.push_back({node, code, shape_element});
    return true;
}

void SampleReader::see_inner(NodeId node, const Feature& feature)
{
    for (; node != 0 && note(node, code_present, 0); node = pool_.nodes_[node].parent) {
        if (with_details_) {
            const bool in_file = pool_.nodes_[node].role != NodeRole::path;
            sample_.details.push_back({"", feature.file, in_file ? feature.line : 0});
        }
    }
}

void SampleReader::see(const Reading& reading, const Feature& feature)
{
    see_inner(reading.parent, feature);
    if (reading.leaf != 0 && note(reading.leaf, reading.code, reading.shape) && with_details_) {
        sample_.details.push_back({feature.value, feature.file, feature.line});
    }
    if (reading.shape != 0) {
        see_inner(reading.shape, feature);
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
