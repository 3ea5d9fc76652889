#include "stemma/core/process.hpp"
#include "stemma/image/debian.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <compare>

using namespace stemma; // NOLINT(google-build-using-namespace): a test

TEST_CASE("versions are ordered as dpkg orders them")
{
    const std::vector<std::string> versions = {"0",
                                               "1",
                                               "1.0",
                                               "1.0-1",
                                               "1.0-2",
                                               "1.0~rc1",
                                               "1.0~rc1-1",
                                               "1.00",
                                               "1:0.5",
                                               "2:0~",
                                               "1.0+b1",
                                               "1.0a",
                                               "1.0.1",
                                               "1.10",
                                               "1.9",
                                               "9-1",
                                               "10-0ubuntu1",
                                               "1.2.13.dfsg-1",
                                               "2.36-9+deb12u10",
                                               "2.36-9+deb12u9",
                                               "a",
                                               "1.0-1~bpo1"};
    for (const auto& a : versions) {
        for (const auto& b : versions) {
            const bool less =
                run({.argv = {"dpkg", "--compare-versions", a, "lt", b}}).exit.success();
            const bool equal =
                run({.argv = {"dpkg", "--compare-versions", a, "eq", b}}).exit.success();
            INFO(a << " and " << b);
            CHECK(std::is_lt(image::compare_versions(a, b)) == less);
            CHECK(std::is_eq(image::compare_versions(a, b)) == equal);
        }
    }
}

TEST_CASE("MD5 equals md5sum at every length around its blocks")
{
    for (const std::size_t length :
         {0U, 1U, 55U, 56U, 57U, 63U, 64U, 65U, 119U, 120U, 128U, 1000U}) {
        const std::string text(length, 'q');
        CHECK(run_checked({.argv = {"md5sum"}, .input = text}).out.substr(0, 32) ==
              image::md5_hex(text));
    }
}

TEST_CASE("a paragraph that is not touched is printed as it was read")
{
    const std::string text = "Package: a\nZoo: 1 \nDescription: x \n y\n .\n";
    auto stanza = image::Stanza::parse(text, "t");
    CHECK(stanza.text() == text);
    CHECK(stanza.get("package") == "a");
    stanza.set("Status", "install ok installed");
    CHECK(stanza.text() ==
          "Package: a\nStatus: install ok installed\nDescription: x\n y\n .\nZoo: 1\n");
}

TEST_CASE("relations are read with alternatives, versions and architectures")
{
    const auto all = image::parse_relations("a, b (>= 1:2~) | c:any (<<3), d", "t");
    REQUIRE(all.size() == 3);
    CHECK(all[1][0].text() == "b (>= 1:2~)");
    CHECK(all[1][1].arch_qualifier == "any");
    CHECK(all[1][1].op == "<<");
    CHECK(image::to_text(all[1]) == "b (>= 1:2~) | c:any (<< 3)");
    for (const std::string bad : {"a (", "a (1)", "(>= 1)", "a (>= )", "a b", "a (!= 1)"}) {
        INFO(bad);
        CHECK(support::error_of([&] { image::parse_relations(bad, "t"); }).has_value());
    }
}

TEST_CASE("a status file cut anywhere is read or refused, never misread silently past its end")
{
    const std::string text = "Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n\n";
    for (std::size_t length = 0; length <= text.size(); ++length) {
        std::size_t count = 0;
        const auto error = support::error_of(
            [&] { count = image::parse_stanzas(text.substr(0, length), "t").size(); });
        CHECK((error.has_value() || count <= 2));
    }
}
