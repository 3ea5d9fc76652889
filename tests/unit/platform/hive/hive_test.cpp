#include "stemma/analyzer/extract.hpp"
#include "stemma/core/error.hpp"
#include "stemma/hive/hive.hpp"
#include "stemma/ntfs/ntfs.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/hives.hpp"

#include <catch2/catch.hpp>

#include <iostream>
#include <random>

#include "windows.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

constexpr const char* version_key = R"(Microsoft\Windows NT\CurrentVersion)";

std::string software_reg(int services)
{
    std::string text = R"REG([\Microsoft]

[\Microsoft\Windows NT]

[\Microsoft\Windows NT\CurrentVersion]
"ProductName"="Windows 10 Pro"
"DisplayVersion"="23H2"
"CurrentBuildNumber"="22631"
"UBR"=dword:00000b2d
"Words"=hex(1):e4,00,f6,00,fc,00,20,00,e5,65,2c,67,00,00
"Several"=hex(7):61,00,00,00,62,00,00,00,00,00
"Large"=hex(b):ff,ff,ff,ff,ff,00,00,00
"Raw"=hex(3):00,01,fe,ff
@="default"

[\Services]

)REG";
    for (int i = 0; i < services; ++i) {
        text += fmt::format("[\\Services\\Service {:05}]\n\"Start\"=dword:{:08x}\n\n", i, i);
    }
    return text + fmt::format("[\\Big]\n\"Data\"=hex(3):{}00\n\n", [] {
               std::string bytes;
               for (int i = 0; i < 40'000; ++i) {
                   bytes += fmt::format("{:02x},", i % 251);
               }
               return bytes;
           }());
}

struct Fixture {
    TemporaryFolder folder{"hive"};
    std::filesystem::path path = folder.path() / "SOFTWARE";
    bool made = false;

    explicit Fixture(int services = 3)
    {
        if (!find_program("hivexregedit")) {
            std::cout << "[stemma-skip] hivexregedit (libwin-hivex-perl) is not installed\n";
            return;
        }
        support::make_hive(path, software_reg(services));
        made = true;
    }
    [[nodiscard]] hive::Hive open() const { return hive::Hive(read_file(path), "SOFTWARE"); }
};

std::string text_of(const hive::Hive& hive, std::string_view path, std::string_view name)
{
    const auto key = hive.find(path);
    REQUIRE(key.has_value());
    const auto value = hive.value(*key, name);
    REQUIRE(value.has_value());
    return value->text();
}

/// Everything, so that damage anywhere is met.
std::size_t walk(const hive::Hive& hive, hive::Hive::Key key, int depth = 0)
{
    std::size_t count = hive.values(key).size();
    if (depth < 32) {
        for (const auto below : hive.subkeys(key)) {
            count += hive.name_of(below).size() + walk(hive, below, depth + 1);
        }
    }
    return count;
}

} // namespace

TEST_CASE("a hive reads as libhivex wrote it")
{
    const Fixture fixture;
    if (!fixture.made) {
        return;
    }
    const auto hive = fixture.open();
    CHECK(text_of(hive, version_key, "ProductName") == "Windows 10 Pro");
    CHECK(text_of(hive, R"(microsoft\WINDOWS nt\currentversion)", "productname") ==
          "Windows 10 Pro");
    CHECK(text_of(hive, version_key, "UBR") == "2861");
    CHECK(text_of(hive, version_key, "Words") == "äöü 日本");
    CHECK(text_of(hive, version_key, "Several") == "a; b");
    CHECK(text_of(hive, version_key, "Large") == "1099511627775");
    CHECK(text_of(hive, version_key, "Raw") == "0001feff");
    CHECK(text_of(hive, version_key, "") == "default");
    const auto big = hive.value(*hive.find("Big"), "Data");
    REQUIRE(big.has_value());
    REQUIRE(big->data.size() == 40'001);
    CHECK(static_cast<unsigned char>(big->data[39'999]) == 39'999 % 251);
    CHECK_FALSE(hive.find(R"(Microsoft\None)").has_value());
    CHECK_FALSE(hive.unclean());
    // What hivexget says of the same file.
    CHECK(
        support::tool_checked(
            {"hivexget", fixture.path.string(), std::string("\\") + version_key, "ProductName"}) ==
        "Windows 10 Pro\n");
}

TEST_CASE("a key with so many keys that they need a list of lists has them all")
{
    const Fixture fixture(2'500);
    if (!fixture.made) {
        return;
    }
    const auto hive = fixture.open();
    CHECK(hive.subkeys(*hive.find("Services")).size() == 2'500);
    CHECK(text_of(hive, R"(Services\Service 02499)", "Start") == "2499");
}

TEST_CASE("a hive that is cut or changed anywhere is an error or reads otherwise, and ends")
{
    const Fixture fixture(40);
    if (!fixture.made) {
        return;
    }
    const auto sound = read_file(fixture.path);
    std::mt19937 random(3); // NOLINT(cert-msc51-cpp): the same bytes each time
    std::size_t errors = 0;
    for (int i = 0; i < 1'000; ++i) {
        auto bytes = sound;
        if (i % 10 == 0) {
            bytes.resize(random() % bytes.size());
        } else {
            for (int k = 0; k < 8; ++k) {
                bytes[random() % bytes.size()] = static_cast<char>(random());
            }
        }
        const auto error = support::error_of([&] {
            const hive::Hive hive(std::move(bytes), "SOFTWARE");
            (void)walk(hive, hive.root());
        });
        errors += error ? 1U : 0U;
        CHECK((!error || error->code() == ErrorCode::corrupt ||
               error->code() == ErrorCode::unsupported));
    }
    CHECK(errors > 100);
}

TEST_CASE("an installed Windows is named by its registry, and its keys are settings")
{
    const Fixture fixture;
    if (!fixture.made) {
        return;
    }
    const auto config = fixture.folder.path() / "root/Windows/System32/config";
    std::filesystem::create_directories(config);
    std::filesystem::copy_file(fixture.path, config / "SOFTWARE");
    const auto tree = volume::open_folder((fixture.folder.path() / "root").string());
    CHECK(image::windows_version(*tree).name == "Windows 11 Pro 23H2 (build 22631.2861)");
    CHECK(image::os_name(*tree) == "Windows 11 Pro 23H2 (build 22631.2861)");
    const auto definition = analyzer::parse_definition(R"(
version: 1
name: windows
registry:
  - hive: /Windows/System32/config/SOFTWARE
    keys: ['Services', 'None']
    depth: 1
)",
                                                       "test");
    const SystemClock clock;
    const Cancel cancel;
    const auto found = analyzer::extract(*tree, definition, {.clock = clock, .cancel = cancel});
    std::map<std::string, std::string> values;
    for (const auto& feature : found.features) {
        values[feature.identity + " " + feature.attribute] = feature.value;
    }
    CHECK(values.size() == 3);
    CHECK(values[R"(/Windows/System32/config/SOFTWARE:Services\Service 00002 Start)"] == "2");
    // Unclean: the two counters of the header differ.
    auto bytes = read_file(config / "SOFTWARE");
    bytes[4] = static_cast<char>(bytes[4] + 1);
    write_file(config / "SOFTWARE", bytes);
    CHECK(image::windows_version(*tree).unclean);
}
