#include "stemma/core/error.hpp"
#include "stemma/deployer/release.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::deployer;
using support::error_of;

namespace {

const std::string whole = R"(version: 1
release: shop
release_version: "1.1"
defaults:
  image: shop-1.1
  memory_mib: 192
  boot: {kernel: vmlinuz, initrd: initrd.img, cmdline: console=ttyS0}
vms:
  - name: shop-{1..4}
    host: local
    data_disks: [{name: orders, size_mib: 64}]
  - name: big
    hosts: {zone: a}
    image: other
    memory_mib: 1024
    vcpus: 2
    network: none
    boot:
verify:
  files:
    - /usr/sbin/shopd
    - {path: /etc/x, sha256: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
  tcp: [{port: 7070, send: "a\n", expect: b}]
  commands: [{run: [true], exit: 1, expect: x}]
rollout: {canary: 2, batch: 3, boot_timeout_s: 9, check_timeout_s: 8, stop_timeout_s: 0, pause_s: 1, on_failure: stop}
)";

std::string complaint(const std::string& text)
{
    const auto error = error_of([&] { (void)parse_release(text, "r.yaml"); });
    return error ? std::string(to_string(error->code())) + " " + error->message() + " | " +
                       error->hint()
                 : "accepted";
}

} // namespace

TEST_CASE("every key of a release file arrives in the structs")
{
    const auto release = parse_release(whole, "/r/r.yaml");
    CHECK(release.name == "shop");
    CHECK(release.version == "1.1");
    CHECK(release.digest == sha256(whole));
    REQUIRE(release.vms.size() == 5);
    const auto& first = release.vms[0];
    CHECK(first.name == "shop-1");
    CHECK(first.image == "shop-1.1");
    CHECK(first.host == "local");
    CHECK(first.memory_mib == 192);
    CHECK(first.network == "user");
    REQUIRE(first.boot);
    CHECK(first.boot->kernel == "/r/vmlinuz");
    CHECK(first.boot->initrd == "/r/initrd.img");
    REQUIRE(first.data_disks.size() == 1);
    CHECK(first.data_disks[0].size_mib == 64);
    const auto& big = release.vms[4];
    CHECK(big.labels == std::map<std::string, std::string>{{"zone", "a"}});
    CHECK(big.host.empty());
    CHECK(big.image == "other");
    CHECK(big.vcpus == 2);
    CHECK_FALSE(big.boot);
    CHECK(release.verify.files[1].sha256 == std::string(64, 'a'));
    CHECK(release.verify.tcp[0].send == "a\n");
    CHECK(release.verify.commands[0].exit == 1);
    CHECK(release.rollout.canary == 2);
    CHECK(release.rollout.batch == 3);
    CHECK(release.rollout.on_failure == Rollout::OnFailure::stop);
    CHECK(release.rollout.stop_timeout == std::chrono::seconds(0));
}

TEST_CASE("a slip in a key is refused with its line and the nearest name")
{
    CHECK(complaint("version: 1\nrelease: a\nvms:\n  - {name: a, image: b, memory_mb: 1}\n")
              .find("r.yaml:4:") != std::string::npos);
    CHECK(complaint("version: 1\nrelease: a\nvms:\n  - {name: a, image: b, memory_mb: 1}\n")
              .find("memory_mib") != std::string::npos);
    CHECK(complaint("version: 1\nrelease: a\nvms: [{name: a, image: b}]\nrolout: {}\n")
              .find("rollout") != std::string::npos);
}

TEST_CASE("what cannot be meant is refused")
{
    for (const auto* text : {
             "",
             "version: 2\nrelease: a\nvms: [{name: a, image: b}]\n",
             "version: 1\nvms: [{name: a, image: b}]\n",
             "version: 1\nrelease: a/b\nvms: [{name: a, image: b}]\n",
             "version: 1\nrelease: a\nvms: []\n",
             "version: 1\nrelease: a\nvms: [{name: a}]\n",
             "version: 1\nrelease: a\nvms: [{name: ../a, image: b}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}, {name: a, image: b}]\n",
             "version: 1\nrelease: a\nvms: [{name: 'a-{2..1}', image: b}]\n",
             "version: 1\nrelease: a\nvms: [{name: 'a-{1..99999999}', image: b}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, memory_mib: -1}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, network: 'a<b'}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}]\nverify: {files: [etc/x]}\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}]\nverify: {tcp: [{port: 0}]}\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}]\nverify: {commands: [{run: "
             "[]}]}\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}]\nrollout: {on_failure: shrug}\n",
         }) {
        INFO(text);
        CHECK(complaint(text).starts_with("config "));
    }
}

TEST_CASE("a release file cut at any byte is accepted or refused, never worse")
{
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const auto answer = complaint(whole.substr(0, length));
        INFO(length);
        CHECK((answer == "accepted" || answer.starts_with("config ")));
    }
}

TEST_CASE("patterns of names count, and keep their zeros")
{
    CHECK(expand_names("a") == std::vector<std::string>{"a"});
    CHECK(expand_names("a{9..11}b") == std::vector<std::string>{"a9b", "a10b", "a11b"});
    CHECK(expand_names("a{08..10}") == std::vector<std::string>{"a08", "a09", "a10"});
    CHECK(expand_names("a{0..1}") == std::vector<std::string>{"a0", "a1"});
    for (const auto* bad : {"", "a{", "a{1}", "a{1..}", "a{..1}", "a}", "a{x..y}", "-a", "a b"}) {
        INFO(bad);
        CHECK(error_of([&] { (void)expand_names(bad); }));
    }
}

TEST_CASE("a verification survives its own JSON")
{
    const auto verify = parse_release(whole, "r").verify;
    CHECK(to_json(verification_from_json(to_json(verify))) == to_json(verify));
}
