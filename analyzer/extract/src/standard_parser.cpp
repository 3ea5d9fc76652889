#include "stemma/analyzer/extract.hpp"
#include "stemma/analyzer/settings.hpp"

namespace stemma::analyzer {

SettingsParser standard_settings_parser()
{
    return [](std::string_view path, std::string_view content, std::string_view parser) {
        return settings_features(path, content, parser);
    };
}

} // namespace stemma::analyzer
