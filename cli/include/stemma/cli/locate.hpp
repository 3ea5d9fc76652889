#pragma once

#include "stemma/cli/settings.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace stemma::cli {

/// Reads an environment variable; passed in so that tests need none.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// Where the store, its files and the settings are.
struct Location {
    std::string store_url;
    std::filesystem::path state_folder;
    std::optional<std::filesystem::path> settings_file;
};

/// Rules, first match wins. Store: `store_option`, STEMMA_STORE, the settings' `store`,
/// .stemma/lineage.db in the nearest parent of `folder` that has a .stemma/, else
/// $XDG_STATE_HOME/stemma/lineage.db (~/.local/state). Settings: `config_option`, else stemma.yaml
/// beside the .stemma/ that was found.
/// throws  usage: neither XDG_STATE_HOME nor HOME is set; config: the settings are wrong
Location locate(const std::filesystem::path& folder,
                const std::optional<std::string>& store_option,
                const std::optional<std::string>& config_option,
                const Environment& environment,
                Settings& settings);

/// $XDG_CACHE_HOME/stemma, else ~/.cache/stemma, without a home /var/cache/stemma: for what is
/// fetched once for all stores of a user.
std::filesystem::path cache_folder(const Environment& environment);

} // namespace stemma::cli
