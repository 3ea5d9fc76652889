#include "stemma/core/process.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using stemma::support::error_of;
using namespace std::chrono_literals;

TEST_CASE("a command's outputs and exit status come back apart")
{
    const auto result = run({.argv = {"sh", "-c", "echo out; echo err >&2; exit 7"}});
    CHECK(result.out == "out\n");
    CHECK(result.err == "err\n");
    CHECK(result.exit.code == 7);
    CHECK(result.exit.describe() == "exit status 7");
}

TEST_CASE("a signal is told from an exit status")
{
    const auto result = run({.argv = {"sh", "-c", "kill -TERM $$"}});
    CHECK(result.exit.signal == 15);
    CHECK_FALSE(result.exit.success());
}

TEST_CASE("input larger than a pipe goes through a filter whole")
{
    const std::string input(1'000'000, 'x');
    CHECK(run({.argv = {"cat"}, .input = input}).out == input);
    // A reader that goes away early neither hangs nor ends us.
    CHECK(run({.argv = {"head", "-c", "1"}, .input = input}).out == "x");
}

TEST_CASE("output beyond the bound is dropped, not kept")
{
    CHECK(run({.argv = {"head", "-c", "100000", "/dev/zero"}, .max_output = 10}).out.size() == 10);
}

TEST_CASE("a missing program is named with its package")
{
    const auto error = error_of([] { run({.argv = {"stemma-no-such-program"}}); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::not_found);
    CHECK(error->message().find("stemma-no-such-program") != std::string::npos);
}

TEST_CASE("a command over its time is ended")
{
    const auto error = error_of([] { run({.argv = {"sleep", "60"}, .timeout = 100ms}); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::remote);
}

TEST_CASE("a requested stop ends the command and says so")
{
    Cancel cancel;
    cancel.request();
    const auto error = error_of([&] { run({.argv = {"sleep", "60"}, .cancel = &cancel}); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::interrupted);
}

TEST_CASE("a failing command's last words are in the error")
{
    const auto error = error_of([] {
        run_checked({.argv = {"sh", "-c", "echo why >&2; exit 1"}});
    });
    REQUIRE(error);
    CHECK(error->message().find("why") != std::string::npos);
}
