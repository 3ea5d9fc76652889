#include "stemma/analyzer/settings.hpp"

namespace stemma::analyzer {

std::vector<Feature> settings_features(std::string_view path, const SettingsFile& file)
{
    std::vector<Feature> features;
    features.reserve(file.settings.size());
    for (const Setting& setting : file.settings) {
        Feature feature;
        feature.kind = "setting";
        feature.type = file.dialect;
        const auto at =
            static_cast<std::size_t>(key_segments(setting.key).back().data() - setting.key.data());
        feature.identity = path;
        if (at > 0) {
            feature.identity += ":" + setting.key.substr(0, at - 1);
        }
        feature.attribute = setting.key.substr(at);
        feature.value = setting.value;
        if (feature.attribute == empty_record) {
            feature.value_type = ValueType::present;
        } else if (feature.attribute.find(element_mark) != std::string::npos) {
            feature.value_type =
                feature.attribute.starts_with(error_list) ? ValueType::damage : ValueType::present;
        }
        feature.file = path;
        feature.line = setting.line;
        features.push_back(std::move(feature));
    }
    return features;
}

std::vector<Feature>
settings_features(std::string_view path, std::string_view content, std::string_view dialect)
{
    return settings_features(path, parse_settings(path, content, dialect));
}

std::string setting_key(const Feature& feature)
{
    if (feature.identity.size() <= feature.file.size()) {
        return feature.attribute;
    }
    return feature.identity.substr(feature.file.size() + 1) + "/" + feature.attribute;
}

} // namespace stemma::analyzer
