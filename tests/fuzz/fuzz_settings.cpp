#include "stemma/analyzer/settings.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma::analyzer;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    // The first line names the file: path and content decide the dialect together.
    const auto end = text.find('\n');
    if (end == std::string_view::npos) {
        return 0;
    }
    const auto file = parse_settings(text.substr(0, end), text.substr(end + 1));
    if (file.settings.size() > max_settings_per_file) {
        std::abort();
    }
    for (const auto& setting : file.settings) {
        if (setting.value.size() > max_setting_value || setting.key.size() > max_setting_key) {
            std::abort();
        }
    }
    return 0;
}
