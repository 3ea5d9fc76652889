#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/hooks/content.hpp"
#include "stemma/hooks/tools.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::hooks;

TEST_CASE("tools are known behind versions, prefixes and folders")
{
    CHECK(plain_tool_name("/usr/bin/x86_64-linux-gnu-g++-12") == "g++");
    CHECK(plain_tool_name("gcc-12.2") == "gcc");
    CHECK(plain_tool_name("clang++-14") == "clang++");
    CHECK(plain_tool_name("aarch64-linux-gnu-gcc-ar") == "gcc-ar");
    CHECK(plain_tool_name("dpkg-deb") == "dpkg-deb");
    CHECK(plain_tool_name("my-own-generator") == "my-own-generator");
}

TEST_CASE("what a tool does depends on its words where one program is many")
{
    CHECK(role_of("/usr/bin/cmake", {"cmake", "--build", "b"}) == Role::scheduler);
    CHECK(role_of("/usr/bin/cmake", {"cmake", "--install", "b"}) == Role::installer);
    CHECK(role_of("/usr/bin/cmake", {"cmake", "-P", "b/cmake_install.cmake"}) == Role::installer);
    CHECK(role_of("/usr/bin/cmake", {"cmake", "-E", "copy", "a", "b"}) == Role::copier);
    CHECK(role_of("/usr/bin/meson", {"meson", "setup", "b"}) == Role::scheduler);
    CHECK(role_of("/usr/bin/meson", {"meson", "--internal", "exe", "--", "cat"}) == Role::other);
    CHECK(role_of("/usr/bin/ccache", {"gcc", "-c"}) == Role::compiler);
    CHECK(role_of("/usr/bin/busybox", {"cp", "a", "b"}) == Role::copier);
    CHECK(role_of("/usr/bin/python3.11", {"python3", "x.py"}) == Role::other);
}

TEST_CASE("the build-id of a program is what readelf says")
{
    if (!find_program("readelf")) {
        WARN("[stemma-skip] readelf is not installed");
        return;
    }
    const auto content = read_content("/proc/self/exe", false);
    REQUIRE(content);
    CHECK(content->kind == 'x');
    CHECK(content->ids.sha256 == sha256_file("/proc/self/exe"));
    const auto notes = run_checked({.argv = {"readelf", "-n", "/proc/self/exe"}});
    // readelf reads its own /proc/self/exe: compare it with what we read of the same program.
    const auto other = read_content(*find_program("readelf"), false);
    REQUIRE(other);
    CHECK(notes.out.find(other->build_id) != std::string::npos);
}
