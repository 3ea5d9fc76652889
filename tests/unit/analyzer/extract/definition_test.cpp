#include "stemma/analyzer/definition.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::analyzer;

namespace {

Error refusal(const std::string& text)
{
    const auto error = support::error_of([&] { parse_definition(text, "d.yaml"); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::config);
    return *error;
}

} // namespace

TEST_CASE("the shipped definition is sound and asks for everything")
{
    const auto definition = default_definition();
    CHECK(definition.name == "default");
    CHECK(definition.files.size() > 3);
    CHECK(definition.settings.size() > 1);
    CHECK(definition.packages.size() == 3);
    for (const auto& name : extractor_names()) {
        CHECK(definition.wants(name));
    }
}

TEST_CASE("a definition says what to collect and what it may cost")
{
    const auto definition = parse_definition(R"(
version: 1
name: mine
files:
  - paths: /srv/**
    exclude: ["/srv/cache/**"]
    collect: [hash, lines]
    head: 3
settings:
  - paths: ["/etc/a.conf", "/etc/b/*"]
    parser: ini
packages: [dpkg]
extractors: [users]
budget: { features: 10, file_mib: 2, seconds: 5 }
)",
                                             "d.yaml");
    REQUIRE(definition.files.size() == 1);
    CHECK(definition.files[0].paths == std::vector<std::string>{"/srv/**"});
    CHECK(definition.files[0].hash);
    CHECK(definition.files[0].lines);
    CHECK_FALSE(definition.files[0].attributes);
    CHECK(definition.files[0].head == 3);
    CHECK(definition.settings[0].parser == "ini");
    CHECK(definition.wants("users"));
    CHECK_FALSE(definition.wants("groups"));
    CHECK(definition.budget.features == 10);
    CHECK(definition.budget.file_bytes == 2U << 20U);
    CHECK(definition.budget.settings_bytes == Budget{}.settings_bytes);
}

TEST_CASE("a wrong definition is refused with line, column and the nearest word")
{
    const std::pair<std::string, std::string> cases[] = {
        {"version: 1\nname: x\nfile: []\n", "d.yaml:3:1: unknown key 'file'"},
        {"version: 2\nname: x\n", "d.yaml:1:10: 2 is outside"},
        {"name: x\n", "'version' is missing"},
        {"version: 1\nname: x\nfiles:\n  - paths: [\"etc/**\"]\n", "d.yaml:4:13: the pattern"},
        {"version: 1\nname: x\nfiles:\n  - paths: [\"/a[b\"]\n", "d.yaml:4:13: the pattern"},
        {"version: 1\nname: x\nfiles:\n  - paths: []\n", "d.yaml:4:12: a rule without a path"},
        {"version: 1\nname: x\nfiles:\n  - exclude: [/a]\n", "'paths' is missing"},
        {"version: 1\nname: x\nfiles:\n  - paths: [/a]\n    collect: [hsh]\n",
         "d.yaml:5:15: 'hsh'"},
        {"version: 1\nname: x\nfiles:\n  - paths: [/a]\n    head: 101\n", "d.yaml:5:11: 101"},
        {"version: 1\nname: x\nextractors: [users, users]\n", "d.yaml:3:21: 'users' is here twice"},
        {"version: 1\nname: x\nbudget: {seconds: 0}\n", "d.yaml:3:19: 0 is outside"},
        {"version: 1\nname: x\npackages: {dpkg: yes}\n", "expected a list"},
        {"version: 1\nname: [\n", "d.yaml:"},
    };
    for (const auto& [text, expected] : cases) {
        CAPTURE(text);
        CHECK_THAT(refusal(text).message(), Catch::Matchers::Contains(expected));
    }
    CHECK(refusal("version: 1\nname: x\nsetings: []\n").hint() == "did you mean 'settings'?");
}

TEST_CASE("a definition cut at any place is taken or refused, nothing else")
{
    const std::string whole(default_definition_text());
    for (std::size_t size = 0; size < whole.size(); size += 13) {
        const auto error =
            support::error_of([&] { parse_definition(whole.substr(0, size), "cut"); });
        CHECK((!error || error->code() == ErrorCode::config));
    }
}
