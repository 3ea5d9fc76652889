#include "stemma/lineage/selector.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::lineage;
using stemma::support::error_of;

namespace {

std::string show(const Selection& selection)
{
    if (selection.operation == Selection::Operation::leaf) {
        return selection.leaf.kind + ":" + selection.leaf.value;
    }
    const auto* sign = selection.operation == Selection::Operation::unite       ? "+"
                       : selection.operation == Selection::Operation::intersect ? "&"
                                                                                : "-";
    std::string text = "(";
    for (const auto& side : selection.sides) {
        text += (text.size() > 1 ? std::string(" ") + sign + " " : "") + show(side);
    }
    return text + ")";
}

Selection parse(std::vector<std::string> words, const std::string& file = {})
{
    return parse_selection(words, [&](const std::string&) { return file; });
}

} // namespace

TEST_CASE("sets bind as they do in arithmetic")
{
    CHECK(show(parse({"vm:a + vm:b & vm:c"})) == "(vm:a + (vm:b & vm:c))");
    CHECK(show(parse({"vm:a - vm:b + vm:c"})) == "((vm:a - vm:b) + vm:c)");
    CHECK(show(parse({"(vm:a + vm:b) & vm:c"})) == "((vm:a + vm:b) & vm:c)");
    CHECK(show(parse({"vm:a", "vm:b"})) == "(vm:a + vm:b)");
    CHECK(show(parse({"vm:a", "-", "vm:b"})) == "(vm:a - vm:b)");
}

TEST_CASE("one word is one selector, whatever bytes it has")
{
    const std::string odd = "file:my dir/a\nb (1)\xff.c";
    CHECK(parse({odd}).leaf.value == odd.substr(5));
    CHECK(parse({"file:'my dir/x' + file:y\\ z"}).sides[1].leaf.value == "y z");
    CHECK(parse({"file:a(1).c & file:b"}).sides[0].leaf.value == "a(1).c");
    CHECK(parse({"file:" + std::string(4096, 'x')}).leaf.value.size() == 4096);
}

TEST_CASE("an unknown kind names the nearest one")
{
    const auto error = error_of([] { parse({"imgae:x"}); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::usage);
    CHECK(error->hint().find("image:x") != std::string::npos);
}

TEST_CASE("what is not an expression is refused")
{
    for (const auto* text : {"",
                             "   ",
                             "vm:a +",
                             "+ vm:a",
                             "(vm:a",
                             "vm:a + vm:b)",
                             "vm:a & & vm:b",
                             "vm:",
                             "price.cpp",
                             "'vm:a",
                             "()",
                             "vm:a (",
                             "&"}) {
        INFO(text);
        const auto error = error_of([&] { parse({text}); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::usage);
    }
}

TEST_CASE("parentheses are bounded")
{
    CHECK(error_of([] { parse({std::string(200, '(') + "vm:a" + std::string(200, ')')}); }));
    CHECK(!error_of([] { parse({std::string(50, '(') + "vm:a" + std::string(50, ')')}); }));
}

TEST_CASE("files hold selectors or items, one an entry")
{
    CHECK(show(parse({"@list"}, "# mine\nvm:a\n\nhost:b\n")) == "(vm:a + host:b)");
    CHECK(show(parse({"-"}, std::string("vm:a\0file:x\ny\0", 14))) == "(vm:a + file:x\ny)");
    CHECK(show(parse({"@list", "-", "vm:b"},
                     "{\"type\":\"vm\",\"uuid\":\"u\",\"name\":\"n\"}\n")) == "((vm:u) - vm:b)");
    const auto error = error_of([] { parse({"@list"}, "vm:a\nnonsense\n"); });
    REQUIRE(error);
    CHECK(error->one_line().find("entry 2") != std::string::npos);
}
