#include <catch2/catch.hpp>

#include "patterns.hpp"

using stemma::analyzer::Patterns;

TEST_CASE("patterns know which folders they can reach")
{
    const Patterns patterns({"/etc/**", "/home/*/.ssh/**", "/boot/vmlinuz-*", "/srv"},
                            {"/etc/x/*"});
    CHECK(patterns.matches("/etc/a/b"));
    CHECK_FALSE(patterns.matches("/etc"));
    CHECK_FALSE(patterns.matches("/etc/x/b"));
    CHECK(patterns.matches("/srv"));
    CHECK(patterns.matches("/home/ann/.ssh/config"));
    CHECK_FALSE(patterns.matches("/home/a/b/.ssh/config"));
    CHECK(patterns.may_match_below("/etc"));
    CHECK(patterns.may_match_below("/etc/deep/er"));
    CHECK(patterns.may_match_below("/"));
    CHECK(patterns.may_match_below("/home/ann"));
    CHECK(patterns.may_match_below("/home/ann/.ssh"));
    CHECK_FALSE(patterns.may_match_below("/home/ann/Music"));
    CHECK_FALSE(patterns.may_match_below("/usr"));
    CHECK_FALSE(patterns.may_match_below("/srv"));
    CHECK(patterns.roots() == std::vector<std::string>{"/etc", "/home", "/boot", "/srv"});
}
