#include "stemma/config/yaml.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using config::Node;
using stemma::support::error_of;

TEST_CASE("an unknown key is refused with its place and the nearest name")
{
    const auto node = Node::parse("version: 1\nmemroy_mib: 5\n", "r.yaml");
    const auto error = error_of([&] { node.allow_only({"version", "memory_mib"}); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::config);
    CHECK(error->message() == "r.yaml:2:13: unknown key 'memroy_mib'");
    CHECK(error->hint() == "did you mean 'memory_mib'?");
}

TEST_CASE("a key twice is refused with both places")
{
    const auto error = error_of([] { Node::parse("a: 1\nb: 2\na: 3\n", "r.yaml"); });
    REQUIRE(error);
    CHECK(error->message() == "r.yaml:3:1: key 'a' is here twice (first in line 1)");
}

TEST_CASE("broken YAML is refused with its line")
{
    const auto error = error_of([] { Node::parse("a: [1, 2\nb: 3\n", "r.yaml"); });
    REQUIRE(error);
    CHECK(error->message().find("r.yaml:2:") == 0);
}

TEST_CASE("values of the wrong type are refused where they stand")
{
    const auto node = Node::parse("a: x\nb: [1]\nc: 7\n", "r.yaml");
    CHECK(error_of([&] { static_cast<void>(node.at("a").integer()); })->message() ==
          "r.yaml:1:4: expected a whole number, found 'x'");
    CHECK(error_of([&] { static_cast<void>(node.at("b").text()); })->message() ==
          "r.yaml:2:4: expected a single value, found a list");
    CHECK(error_of([&] { static_cast<void>(node.at("c").integer_within(1, 5)); }));
    CHECK(error_of([&] { static_cast<void>(node.at("d")); })->message() ==
          "r.yaml:1:1: key 'd' is missing");
    CHECK(node.at("c").integer() == 7);
    CHECK(node.at("b").texts() == std::vector<std::string>{"1"});
}

TEST_CASE("aliases that multiply and endless nesting are refused")
{
    std::string laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 8; ++i) {
        laughs += fmt::format("a{0}: &a{0} [", i);
        for (int j = 0; j < 10; ++j) {
            laughs += fmt::format("{}*a{}", j == 0 ? "" : ",", i - 1);
        }
        laughs += "]\n";
    }
    CHECK(error_of([&] { Node::parse(laughs, "r.yaml"); }));
    CHECK(error_of([&] { Node::parse(std::string(500, '['), "r.yaml"); }));
}
