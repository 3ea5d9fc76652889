#include "stemma/cli/args.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace stemma;
using cli::Args;
using cli::Option;
using stemma::support::error_of;

namespace {

constexpr std::array options = {Option{"name", "NAME", "", false, 'n'},
                                Option{"deb", "FILE", "", true},
                                Option{"dry-run", "", ""},
                                Option{"verbose", "", "", true, 'v'}};

Args parse(std::vector<std::string> words, bool rest_is_command = false)
{
    return Args::parse(words, options, rest_is_command);
}

} // namespace

TEST_CASE("options may be written in every usual form")
{
    for (const auto& words : std::vector<std::vector<std::string>>{
             {"--name", "x"}, {"--name=x"}, {"-n", "x"}, {"-nx"}, {"a", "--name=x"}}) {
        CHECK(parse(words).value("name") == "x");
    }
    const auto args = parse({"a", "--deb", "1", "-vv", "--deb=2", "--dry-run", "--", "--name"});
    CHECK(args.values("deb") == std::vector<std::string>{"1", "2"});
    CHECK(args.values("verbose").size() == 2);
    CHECK(args.has("dry-run"));
    CHECK(args.words() == std::vector<std::string>{"a", "--name"});
}

TEST_CASE("everything after -- belongs to the other program")
{
    const auto args = parse({"--name", "x", "--", "make", "--name"}, true);
    CHECK(args.rest() == std::vector<std::string>{"make", "--name"});
    CHECK(args.words().empty());
}

TEST_CASE("wrong options are refused with a way out")
{
    const auto unknown = error_of([] { parse({"--nmae", "x"}); });
    REQUIRE(unknown);
    CHECK(unknown->code() == ErrorCode::usage);
    CHECK(unknown->hint() == "did you mean --name?");
    CHECK(error_of([] { parse({"--name"}); }));
    CHECK(error_of([] { parse({"--name=a", "--name=b"}); }));
    CHECK(error_of([] { parse({"--dry-run=yes"}); }));
    CHECK(error_of([] { parse({"-x"}); }));
    CHECK(error_of([] { parse({"a", "b"}).expect_words(0, 1, "[NAME]"); }));
    CHECK(error_of([] { parse({}).expect_words(1, 1, "NAME"); }));
    CHECK(error_of([] { static_cast<void>(parse({"--name=7x"}).number("name", 0, 9)); }));
    CHECK(parse({"--name=7"}).number("name", 0, 9) == 7);
}
