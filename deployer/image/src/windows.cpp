#include "windows.hpp"

#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"
#include "stemma/hive/hive.hpp"
#include "stemma/jail/process.hpp"

#include "dpkg_database.hpp"

namespace stemma::image {

namespace {

constexpr std::string_view software = "/Windows/System32/config/SOFTWARE";
constexpr std::string_view version_key = R"(Microsoft\Windows NT\CurrentVersion)";
constexpr std::uint64_t most_hive = std::uint64_t{256} << 20U;

/// Windows 11 calls itself 10 in ProductName; its builds begin here.
constexpr std::uint64_t first_build_of_11 = 22000;

class Version {
public:
    Version(const hive::Hive& hive, hive::Hive::Key key) : hive_(hive), key_(key) {}

    [[nodiscard]] std::string name() const
    {
        auto product = text("ProductName");
        const auto build = text("CurrentBuildNumber");
        constexpr std::string_view ten = "Windows 10";
        if (product.starts_with(ten) && parse_unsigned(build).value_or(0) >= first_build_of_11) {
            product.replace(0, ten.size(), "Windows 11");
        }
        auto release = text("DisplayVersion");
        release = release.empty() ? text("ReleaseId") : release;
        release = release.empty() ? text("CSDVersion") : release; // "Service Pack 1"
        const auto revision = text("UBR");
        return (product.empty() ? "Windows" : product) + (release.empty() ? "" : " " + release) +
               (build.empty()
                    ? ""
                    : fmt::format(" (build {}{}{})", build, revision.empty() ? "" : ".", revision));
    }

private:
    [[nodiscard]] std::string text(std::string_view name) const
    {
        const auto value = hive_.value(key_, name);
        const auto words = value ? value->text() : std::string();
        return std::string(trim(words));
    }
    const hive::Hive& hive_;
    hive::Hive::Key key_;
};

std::string look_at(std::string bytes)
{
    const hive::Hive hive(std::move(bytes), std::string(software));
    const auto key = hive.find(version_key);
    return Json{{"name", key ? Version(hive, *key).name() : "Windows"}, {"unclean", hive.unclean()}}
        .dump();
}

} // namespace

WindowsVersion windows_version(volume::Filesystem& tree)
{
    const std::string path(software);
    if (!tree.look_through(path)) {
        return {};
    }
    auto bytes = tree.read_all(path, most_hive);
    const auto found =
        Json::parse(jail::compute(path, {}, {}, [&] { return look_at(std::move(bytes)); }));
    return {.name = found.at("name").get<std::string>(),
            .unclean = found.at("unclean").get<bool>()};
}

std::string os_name(volume::Filesystem& tree)
{
    auto name = os_release_value(tree, "PRETTY_NAME");
    return name.empty() ? windows_version(tree).name : name;
}

} // namespace stemma::image
