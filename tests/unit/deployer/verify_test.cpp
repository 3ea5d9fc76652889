#include "stemma/deployer/verify.hpp"
#include "stemma/support/fake_hypervisor.hpp"

#include <catch2/catch.hpp>

#include "worlds.hpp"

using namespace stemma;
using namespace stemma::deployer;

namespace {

/// Results of one verification of a VM whose inside is good or bad.
std::vector<CheckResult> ask(const Verification& wanted, const ExpectedContent& expected, bool bad)
{
    support::FakeHypervisor host;
    VmSpec spec;
    spec.name = "web-1";
    spec.image.digest = digest_named("v1");
    ObservedVm vm;
    vm.uuid = "u";
    vm.name = "web-1";
    vm.state = "running";
    vm.image = spec.image.digest;
    if (bad) {
        host.bad_images = {vm.image};
    }
    host.add(vm);
    const auto guest = host.guest(vm, std::chrono::milliseconds(0));
    return GuestVerifier(wanted, expected).verify(spec, *guest);
}

} // namespace

TEST_CASE("a file is good only with the content that the file or the lineage names")
{
    const auto knows = [](const ImageRef&, const std::string& path) -> std::optional<std::string> {
        return path == "/known" ? std::optional(sha256(path).hex()) : std::nullopt;
    };
    Verification wanted;
    wanted.files = {{.path = "/known", .sha256 = {}},
                    {.path = "/unknown", .sha256 = {}},
                    {.path = "/said", .sha256 = sha256("/said").hex()},
                    {.path = "/lied", .sha256 = sha256("/other").hex()}};
    const auto good = ask(wanted, knows, false);
    REQUIRE(good.size() == 5);
    CHECK(good[0].ok); // boot
    CHECK(good[1].ok);
    CHECK_FALSE(good[2].ok);
    CHECK(good[2].expected.starts_with("unknown"));
    CHECK(good[3].ok);
    CHECK_FALSE(good[4].ok);
    CHECK_FALSE(ask(wanted, knows, true)[1].ok);
}

TEST_CASE("a service and a command are good only with the answer that was expected")
{
    Verification wanted;
    wanted.tcp = {{.port = 1, .send = "hello", .expect = "echo hello"},
                  {.port = 2, .send = {}, .expect = {}}};
    wanted.commands = {{.argv = {"cmd"}, .exit = 0, .expect = "cmd"},
                       {.argv = {"cmd"}, .exit = 0, .expect = "else"},
                       {.argv = {"cmd"}, .exit = 3, .expect = {}}};
    const auto good = ask(wanted, {}, false);
    CHECK(good[1].ok);
    CHECK(good[2].ok);
    CHECK(good[3].ok);
    CHECK_FALSE(good[4].ok);
    CHECK_FALSE(good[5].ok);
    CHECK_FALSE(ask(wanted, {}, true)[1].ok);
    CHECK_FALSE(ask(wanted, {}, true)[3].ok);
}
