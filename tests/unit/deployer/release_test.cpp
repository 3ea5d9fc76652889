#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
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
    networks: [user, default, {bridge: br0, mac: "52:54:00:AA:bb:01"}]
    spread: rack
    anti_affinity: host
    system_disk_mib: 4096
    helper: both
    cloud_init:
      user_data: |
        #cloud-config
        hostname: x
      network_config: net.yaml
    boot:
verify:
  files:
    - /usr/sbin/shopd
    - {path: /etc/x, sha256: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
  tcp: [{port: 7070, send: "a\n", expect: b}]
  http: [{port: 80, path: /health, status: 204, host: shop.test}]
  commands: [{run: [true], exit: 1, expect: x}]
  compare: {allowed: 1, ignore: "/etc/x:*"}
rollout: {canary: 2, batch: 3, max_unavailable: 2, deadline_s: 600, boot_timeout_s: 9, check_timeout_s: 8, stop_timeout_s: 0, pause_s: 1, on_failure: stop}
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
    REQUIRE(big.networks.size() == 3);
    CHECK(big.networks[0].kind == NetworkCard::Kind::user);
    CHECK(big.networks[1].source == "default");
    CHECK(big.networks[2].kind == NetworkCard::Kind::bridge);
    CHECK(big.networks[2].mac == "52:54:00:aa:bb:01");
    CHECK(big.spread == "rack");
    CHECK(big.anti_affinity == "host");
    CHECK(big.group == "big");
    CHECK(first.group == "shop-{1..4}");
    CHECK(big.system_disk_mib == 4096);
    CHECK(big.helper == Helper::both);
    REQUIRE(big.cloud_init);
    CHECK(big.cloud_init->user_data.text == "#cloud-config\nhostname: x\n");
    CHECK(big.cloud_init->network_config->file == "/r/net.yaml");
    CHECK(release.verify.http.at(0).status == 204);
    CHECK(release.rollout.max_unavailable == 2);
    CHECK(release.rollout.deadline == std::chrono::seconds(600));
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
             "version: 1\nrelease: a\nvms: [{name: a, image: b, host: x, hosts: {z: a}}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, networks: []}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, networks: [{mac: x}]}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, networks: "
             "[{network: n, mac: '01:00:00:00:00:00'}]}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, cloud_init: {}}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, helper: none}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, boot: {kernel: ''}}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, boot: {kernel: k, initrd: ''}}]\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}]\nverify: {http: [{path: x}]}\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}]\n"
             "verify: {http: [{path: \"/a\\r\\nX: y\"}]}\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b}]\nrollout: {max_unavailable: 0}\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: b, data_disks: [{name: d, size_mib: "
             "1}]}]\nrollout: {strategy: blue_green}\n",
             "version: 1\nrelease: a\nvms: [{name: a, image: '${b}'}]\n",
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

TEST_CASE("a slip in a key is shown where the key stands, also in an overlay")
{
    CHECK(complaint("version: 1\nrelease: a\nvms: [{name: a, image: b}]\nrolout: {}\n")
              .find("r.yaml:4:1: unknown key 'rolout'") != std::string::npos);
    const TemporaryFolder folder("release");
    const auto base = folder.path() / "base.yaml";
    const auto over = folder.path() / "prod.yaml";
    write_file(base, "version: 1\nrelease: a\nvms: [{name: a, image: b}]\n");
    write_file(over, "vms:\n  - name: a\n    memroy_mib: 64\n");
    const auto error = error_of([&] { (void)load_release({.files = {base, over}, .set = {}}); });
    REQUIRE(error);
    CHECK(error->message() == over.string() + ":3:5: unknown key 'memroy_mib'");
    CHECK(error->hint() == "did you mean 'memory_mib'?");
}

TEST_CASE("overlays and variables make one release of several files")
{
    const TemporaryFolder folder("release");
    const auto base = folder.path() / "base.yaml";
    const auto over = folder.path() / "prod.yaml";
    write_file(base,
               "version: 1\nrelease: shop\nvariables: {count: 2, image: shop-1}\n"
               "defaults: {memory_mib: 64}\n"
               "vms: [{name: 'web-{1..${count}}', image: '${image}'}, {name: db, image: d}]\n");
    write_file(over,
               "variables: {count: 4}\nvms: [{name: db, memory_mib: 256}]\n"
               "rollout: {batch: 2}\n");
    const auto plain = load_release(base);
    CHECK(plain.vms.size() == 3);
    CHECK(plain.digest == sha256(read_file(base)));
    const auto both = load_release({.files = {base, over}, .set = {}});
    REQUIRE(both.vms.size() == 5);
    CHECK(both.vms[0].memory_mib == 64);
    CHECK(both.vms[4].name == "db");
    CHECK(both.vms[4].image == "d");
    CHECK(both.vms[4].memory_mib == 256);
    CHECK(both.rollout.batch == 2);
    CHECK(both.digest != plain.digest);
    const auto set = load_release({.files = {base, over}, .set = {{"image", "shop-2"}}});
    CHECK(set.vms[3].image == "shop-2");
    CHECK(set.digest != both.digest);
    const auto error = error_of([&] {
        (void)load_release({.files = {base}, .set = {{"imag", "x"}}});
    });
    REQUIRE(error);
    CHECK(error->hint() == "did you mean 'image'?");
}
