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
    CHECK(error->message() == "r.yaml:2:1: unknown key 'memroy_mib'");
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

TEST_CASE("an overlay replaces values, joins maps and named lists, and keeps every place")
{
    const auto base = Node::parse("a: 1\nm: {x: 1, y: 2}\nl: [1, 2]\n"
                                  "n:\n  - {name: p, v: 1}\n  - {name: q, v: 2}\n",
                                  "dir/base.yaml");
    const auto over = Node::parse("m: {y: 3, z: 4}\nl: [9]\n"
                                  "n:\n  - {name: q, v: 7}\n  - {name: r, v: 8}\nb: x\n",
                                  "other/over.yaml");
    const auto both = base.overlaid_by(over);
    CHECK(both.at("a").integer() == 1);
    CHECK(both.at("b").text() == "x");
    CHECK(both.at("m").at("x").integer() == 1);
    CHECK(both.at("m").at("y").integer() == 3);
    CHECK(both.at("m").at("z").integer() == 4);
    CHECK(both.at("l").texts() == std::vector<std::string>{"9"});
    const auto named = both.at("n").elements();
    REQUIRE(named.size() == 3);
    CHECK(named[0].at("v").integer() == 1);
    CHECK(named[1].at("v").integer() == 7);
    CHECK(named[2].at("name").text() == "r");
    CHECK(both.at("a").place() == "dir/base.yaml:1:4");
    CHECK(both.at("m").at("y").place() == "other/over.yaml:1:8");
    CHECK(both.at("b").folder() == "other");
    CHECK(error_of([&] { both.at("n").elements()[1].allow_only({"name"}); })->message() ==
          "other/over.yaml:4:15: unknown key 'v'");
    CHECK(base.at("m").at("y").integer() == 2); // the base itself stays as it was
}

TEST_CASE("variables are filled in once, and only those that have a value")
{
    const auto node = Node::parse("a: web-${n}\nb: [\"$${n} $n $\", \"${x}${x}\"]\n", "r.yaml");
    const auto filled = node.with_variables({{"n", "3"}, {"x", "${n}"}});
    CHECK(filled.at("a").text() == "web-3");
    CHECK(filled.at("b").texts() == std::vector<std::string>{"${n} $n $", "${n}${n}"});
    const auto unset = error_of([&] { (void)node.with_variables({{"n", "3"}, {"xx", ""}}); });
    REQUIRE(unset);
    CHECK(unset->message() == "r.yaml:2:19: no variable 'x' is set");
    for (const auto* broken : {"a: ${", "a: \"${}\"", "a: \"${a b}\"", "a: ${n"}) {
        INFO(broken);
        CHECK(error_of([&] { (void)Node::parse(broken, "r").with_variables({{"n", "3"}}); }));
    }
}
