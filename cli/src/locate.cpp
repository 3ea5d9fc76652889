#include "stemma/cli/locate.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/postgres/address.hpp"

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

/// `stemma` in the folder that a variable names, else in that folder of the home; "" without both.
fs::path xdg_folder(const Environment& environment, const char* variable, const char* in_home)
{
    if (const auto named = environment(variable); named && named->starts_with('/')) {
        return fs::path(*named) / "stemma";
    }
    if (const auto home = environment("HOME"); home && !home->empty()) {
        return fs::path(*home) / in_home / "stemma";
    }
    return {};
}

fs::path home_state_folder(const Environment& environment)
{
    auto folder = xdg_folder(environment, "XDG_STATE_HOME", ".local/state");
    if (folder.empty()) {
        throw Error(ErrorCode::usage,
                    "no place for the lineage store: neither HOME nor XDG_STATE_HOME is set",
                    "name one with --store FILE");
    }
    return folder;
}

/// images/, snapshots/ and so on lie beside a store called lineage.db, else in a folder of its
/// name; those of a ledger on a server, in one for each such ledger.
fs::path
state_beside(const std::string& url, const fs::path& folder, const Environment& environment)
{
    constexpr std::string_view sqlite_prefix = "sqlite:";
    if (postgres::is_address(url)) {
        constexpr std::size_t digits = 16;
        return home_state_folder(environment) / "ledgers" /
               sha256(postgres::target(url)).hex().substr(0, digits);
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

fs::path cache_folder(const Environment& environment)
{
    auto folder = xdg_folder(environment, "XDG_CACHE_HOME", ".cache");
    return folder.empty() ? fs::path("/var/cache/stemma") : folder;
}

} // namespace stemma::cli
