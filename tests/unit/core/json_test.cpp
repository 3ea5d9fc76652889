#include "stemma/core/json.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using stemma::support::error_of;

TEST_CASE("canonical JSON has sorted keys and no blanks")
{
    CHECK(canonical_json(parse_json(R"({ "b": [1, 2], "a": null })", "x")) ==
          R"({"a":null,"b":[1,2]})");
}

TEST_CASE("a JSON text cut at any byte is refused with its place")
{
    const std::string text = R"({"a": [1, {"b": "c"}], "d": true})";
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
        const auto error = error_of([&] { parse_json(text.substr(0, cut), "f.json"); });
        INFO(cut);
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::corrupt);
        CHECK(error->message().find("f.json: line 1") == 0);
    }
}

TEST_CASE("a key twice and endless nesting are refused")
{
    CHECK(error_of([] { parse_json(R"({"a": 1, "a": 2})", "x"); }));
    CHECK_FALSE(error_of([] { parse_json(R"([{"a": 1}, {"a": 2}])", "x"); }));
    const std::string deep = std::string(100000, '[') + std::string(100000, ']');
    CHECK(error_of([&] { parse_json(deep, "x"); }));
}

TEST_CASE("a zero byte does not hide what follows it")
{
    const std::string text("{}\0 more", 8);
    const auto error = error_of([&] { parse_json(text, "x"); });
    REQUIRE(error);
    CHECK(error->message() == "x: line 1, column 3: a zero byte");
}

TEST_CASE("bytes that are not UTF-8 survive as base64")
{
    const std::string bytes = "caf\xe9\n";
    const auto json = json_text(bytes);
    CHECK(json.contains("b64"));
    CHECK(text_of(json, "x") == bytes);
    CHECK(json_text("café") == "café");
}

TEST_CASE("a missing or mistyped member is named")
{
    const auto json = parse_json(R"({"n": 1})", "x");
    CHECK(error_of([&] { string_member(json, "name"); })->message().find("'name'") !=
          std::string::npos);
    CHECK(error_of([&] { string_member(json, "n"); }));
    CHECK(integer_member(json, "n") == 1);
    CHECK_FALSE(optional_string_member(json, "none"));
}
