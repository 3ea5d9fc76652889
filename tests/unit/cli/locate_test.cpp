#include "stemma/cli/locate.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace stemma;
using namespace stemma::cli;
namespace fs = std::filesystem;

namespace {

Environment environment(std::map<std::string, std::string> values)
{
    return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional(found->second);
    };
}

} // namespace

TEST_CASE("the store is found by option, environment, settings, project, home, in that order")
{
    const TemporaryFolder folder("locate");
    const auto inner = folder.path() / "a/b";
    fs::create_directories(inner);
    fs::create_directories(folder.path() / ".stemma");
    const auto world = environment({{"STEMMA_STORE", "/e/s.db"}, {"HOME", "/h"}});
    Settings settings;
    CHECK(locate(inner, "/o.db", std::nullopt, world, settings).store_url == "/o.db");
    CHECK(locate(inner, "/o.db", std::nullopt, world, settings).state_folder == "/o.db.state");
    CHECK(locate(inner, std::nullopt, std::nullopt, world, settings).store_url == "/e/s.db");

    const auto bare = environment({{"HOME", "/h"}});
    const auto project = locate(inner, std::nullopt, std::nullopt, bare, settings);
    CHECK(project.store_url == (folder.path() / ".stemma/lineage.db").string());
    CHECK(project.state_folder == folder.path() / ".stemma");
    CHECK(locate("/", std::nullopt, std::nullopt, bare, settings).store_url ==
          "/h/.local/state/stemma/lineage.db");

    write_file(folder.path() / "stemma.yaml", "version: 1\nstore: other.db\n");
    CHECK(locate(inner, std::nullopt, std::nullopt, bare, settings).store_url ==
          (folder.path() / "other.db").string());
}

TEST_CASE("what is fetched once lies in the user's cache, or the machine's")
{
    CHECK(cache_folder(environment({{"XDG_CACHE_HOME", "/c"}, {"HOME", "/h"}})) == "/c/stemma");
    CHECK(cache_folder(environment({{"XDG_CACHE_HOME", "c"}, {"HOME", "/h"}})) ==
          "/h/.cache/stemma"); // a relative one is void by its specification
    CHECK(cache_folder(environment({})) == "/var/cache/stemma");
}

TEST_CASE("without a home there is a clear word")
{
    Settings settings;
    const auto error = support::error_of(
        [&] { locate("/", std::nullopt, std::nullopt, environment({}), settings); });
    REQUIRE(error);
    CHECK(error->hint().find("--store") != std::string::npos);
}

TEST_CASE("the settings that init writes are accepted")
{
    const TemporaryFolder folder("settings");
    write_file(folder.path() / "stemma.yaml", settings_template());
    CHECK_FALSE(load_settings(folder.path() / "stemma.yaml").store);
    write_file(folder.path() / "stemma.yaml", "version: 1\nimages:\n  allow: [x, /y]\n");
    const auto settings = load_settings(folder.path() / "stemma.yaml");
    CHECK(settings.image_allow == std::vector<std::string>{(folder.path() / "x").string(), "/y"});
    write_file(folder.path() / "stemma.yaml", "version: 2\n");
    CHECK(support::error_of([&] { load_settings(folder.path() / "stemma.yaml"); }));
}
