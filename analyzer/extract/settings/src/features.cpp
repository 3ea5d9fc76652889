#include "stemma/analyzer/settings.hpp"

namespace stemma::analyzer {

namespace {

/// Where a key's attribute begins: behind the last "/" that is neither in brackets nor in a list's
/// element. 0 when the key has no record.
std::size_t attribute_at(std::string_view key)
{
    std::size_t depth = 0;
    std::size_t at = 0;
    const std::size_t end = std::min(key.find(element_mark), key.size());
    for (std::size_t i = 0; i < end; ++i) {
        if (key[i] == '[') {
            ++depth;
        } else if (key[i] == ']' && depth > 0) {
            --depth;
        } else if (key[i] == '/' && depth == 0) {
            at = i + 1;
        }
    }
    return at;
}

} // namespace

std::vector<Feature> settings_features(std::string_view path, const SettingsFile& file)
{
    std::vector<Feature> features;
    features.reserve(file.settings.size());
    for (const Setting& setting : file.settings) {
        Feature feature;
        feature.kind = "setting";
        feature.type = file.dialect;
        const std::size_t at = attribute_at(setting.key);
        feature.identity = path;
        if (at > 0) {
            feature.identity += ":" + setting.key.substr(0, at - 1);
        }
        feature.attribute = setting.key.substr(at);
        feature.value = setting.value;
        if (feature.attribute.find(element_mark) != std::string::npos) {
            feature.value_type =
                feature.attribute.starts_with(error_list) ? ValueType::damage : ValueType::present;
        }
        feature.file = path;
        feature.line = setting.line;
        features.push_back(std::move(feature));
    }
    return features;
}

std::vector<Feature> settings_features(std::string_view path, std::string_view content)
{
    return settings_features(path, parse_settings(path, content));
}

std::string setting_key(const Feature& feature)
{
    if (feature.identity.size() <= feature.file.size()) {
        return feature.attribute;
    }
    return feature.identity.substr(feature.file.size() + 1) + "/" + feature.attribute;
}

} // namespace stemma::analyzer
