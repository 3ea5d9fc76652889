#include "stemma/cli/locate.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"

namespace stemma::cli {

namespace fs = std::filesystem;

namespace {

std::optional<fs::path> nearest_project(const fs::path& folder)
{
    std::error_code ignored;
    for (auto at = folder;; at = at.parent_path()) {
        if (fs::is_directory(at / ".stemma", ignored)) {
            return at;
        }
        if (at == at.parent_path()) {
            return std::nullopt;
        }
    }
}

fs::path home_state_folder(const Environment& environment)
{
    if (const auto state = environment("XDG_STATE_HOME"); state && !state->empty()) {
        return fs::path(*state) / "stemma";
    }
    if (const auto home = environment("HOME"); home && !home->empty()) {
        return fs::path(*home) / ".local/state/stemma";
    }
    throw Error(ErrorCode::usage,
                "no place for the lineage store: neither HOME nor XDG_STATE_HOME is set",
                "name one with --store FILE");
}

/// images/, snapshots/ and so on lie beside a store called lineage.db, else in a folder of its
/// name.
fs::path
state_beside(const std::string& url, const fs::path& folder, const Environment& environment)
{
    constexpr std::string_view sqlite_prefix = "sqlite:";
    if (url.find("://") != std::string::npos) {
        return home_state_folder(environment);
    }
    const auto path = normal_path(
        url.starts_with(sqlite_prefix) ? url.substr(sqlite_prefix.size()) : url, folder);
    return path.filename() == "lineage.db" ? path.parent_path()
                                           : fs::path(path.string() + ".state");
}

} // namespace

Location locate(const fs::path& folder,
                const std::optional<std::string>& store_option,
                const std::optional<std::string>& config_option,
                const Environment& environment,
                Settings& settings)
{
    Location location;
    const auto project = nearest_project(folder);
    if (config_option) {
        location.settings_file = normal_path(*config_option, folder);
    } else if (project && fs::exists(*project / "stemma.yaml")) {
        location.settings_file = *project / "stemma.yaml";
    }
    if (location.settings_file) {
        settings = load_settings(*location.settings_file);
    }
    const auto from_environment = environment("STEMMA_STORE");
    if (store_option) {
        location.store_url = *store_option;
    } else if (from_environment && !from_environment->empty()) {
        location.store_url = *from_environment;
    } else if (settings.store) {
        location.store_url = *settings.store;
    } else if (project) {
        location.store_url = (*project / ".stemma/lineage.db").string();
    } else {
        location.store_url = (home_state_folder(environment) / "lineage.db").string();
    }
    location.state_folder = state_beside(location.store_url, folder, environment);
    return location;
}

} // namespace stemma::cli
