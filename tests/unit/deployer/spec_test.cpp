#include "stemma/core/digest.hpp"
#include "stemma/deployer/spec.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/xml.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace stemma;
using namespace stemma::deployer;

namespace {

VmSpec sample()
{
    VmSpec spec;
    spec.uuid = vm_uuid("web", "web-1");
    spec.name = "web-1";
    spec.release = "web";
    spec.host = "local";
    spec.image = {
        .name = "i", .digest = std::string(64, 'a'), .path = "/p", .format = "qcow2", .size = 7};
    spec.memory_mib = 96;
    spec.vcpus = 2;
    spec.network = "user";
    spec.boot = ResolvedBoot{.kernel = "/k",
                             .kernel_sha256 = std::string(64, 'b'),
                             .initrd = "/i",
                             .initrd_sha256 = std::string(64, 'c'),
                             .cmdline = "console=ttyS0 x=\"<&>'\""};
    spec.data_disks = {{.name = "data", .size_mib = 5}};
    return spec;
}

const VmPaths paths{.system_disk = "/f/s & 'q'.qcow2",
                    .data_disks = {"/f/d.qcow2"},
                    .console = "/f/console.log",
                    .channel = "/f/run/u",
                    .kernel = "/f/boot/b",
                    .initrd = "/f/boot/c",
                    .seed = {}};

} // namespace

TEST_CASE("the UUID of a VM is a function of release and name")
{
    // python3: uuid.uuid5(uuid.UUID("6a8a6f70-6d9e-5c3b-9f0e-57e44a5e3a01"), "web/web-1")
    CHECK(vm_uuid("web", "web-1") == "a3c3bbd1-1325-5323-b169-45c7e1c9293d");
    CHECK(vm_uuid("web", "web-1") != vm_uuid("web", "web-2"));
    CHECK(vm_uuid("web", "web-1") != vm_uuid("shop", "web-1"));
}

TEST_CASE("a spec survives its own JSON")
{
    CHECK(to_json(spec_from_json(to_json(sample()))) == to_json(sample()));
    CHECK(spec_digest(spec_from_json(to_json(sample()))) == spec_digest(sample()));
}

TEST_CASE("what a VM is decides its digest, where its files lie does not")
{
    const auto digest = spec_digest(sample());
    auto moved = sample();
    moved.host = "elsewhere";
    moved.image.path = "/q";
    moved.image.name = "another name";
    moved.boot->kernel = "/k2";
    CHECK(spec_digest(moved) == digest);
    auto changed = sample();
    changed.memory_mib = 97;
    CHECK(spec_digest(changed) != digest);
    changed = sample();
    changed.image.digest = std::string(64, 'd');
    CHECK(spec_digest(changed) != digest);
    changed = sample();
    changed.boot->cmdline += "x";
    CHECK(spec_digest(changed) != digest);
    changed = sample();
    changed.boot->kernel_sha256 = std::string(64, 'd');
    CHECK(spec_digest(changed) != digest);
    changed = sample();
    changed.data_disks[0].size_mib = 6;
    CHECK(spec_digest(changed) != digest);
}

TEST_CASE("a domain's XML says what the spec says, whatever characters are in it")
{
    const auto spec = sample();
    const auto xml = domain_xml(spec, paths, "qemu");
    const auto about = virt::describe_domain(xml);
    CHECK(about.type == "qemu");
    CHECK(about.name == "web-1");
    CHECK(about.uuid == spec.uuid);
    CHECK(about.memory_mib == 96);
    CHECK(about.vcpus == 2);
    CHECK(about.release == "web");
    CHECK(about.image == spec.image.digest);
    CHECK(about.spec_digest == spec_digest(spec));
    REQUIRE(about.disks.size() == 2);
    CHECK(about.disks[0].source == paths.system_disk);
    CHECK(about.disks[1].target == "vdb");
    REQUIRE(about.channels.size() == 1);
    CHECK(about.channels[0].path == "/f/run/u");
    CHECK(about.interfaces.at(0).type == "user");
    const auto root = virt::parse_xml(xml, "xml");
    CHECK(root.text_at("os/cmdline") == spec.boot->cmdline + " stemma.name=web-1");
    CHECK(root.text_at("os/kernel") == "/f/boot/b");
}

TEST_CASE("without direct boot a VM boots from its disk, without a network it has none")
{
    auto spec = sample();
    spec.boot.reset();
    spec.network = "none";
    const auto xml = domain_xml(spec, paths, "kvm");
    const auto root = virt::parse_xml(xml, "xml");
    CHECK(root.find("os/kernel") == nullptr);
    CHECK(root.attribute_at("os/boot", "dev") == "hd");
    CHECK(virt::describe_domain(xml).interfaces.empty());
}

TEST_CASE("cards, seed, size and helper are in the digest, and were not before they were there")
{
    // sha256 of this spec's canonical JSON as the first version of Stemma wrote it
    auto plain = sample();
    auto json = to_json(plain);
    for (const auto* later : {"networks", "seed", "system_disk_mib", "helper"}) {
        json.erase(later);
    }
    CHECK(spec_digest(spec_from_json(json)) == spec_digest(plain));
    json.erase("host");
    json["image"] = plain.image.digest;
    json["boot"].erase("kernel");
    json["boot"].erase("initrd");
    CHECK(sha256(canonical_json(json)).hex() == spec_digest(plain));
    std::set<std::string> digests{spec_digest(plain)};
    plain.networks = {{.kind = NetworkCard::Kind::bridge, .source = "br0", .mac = {}}};
    CHECK(digests.insert(spec_digest(plain)).second);
    plain.seed = ResolvedSeed{.path = "/s", .sha256 = std::string(64, 'e')};
    CHECK(digests.insert(spec_digest(plain)).second);
    CHECK(to_json(spec_from_json(to_json(plain))) == to_json(plain));
    plain.seed->path = "/elsewhere";
    CHECK_FALSE(digests.insert(spec_digest(plain)).second);
    plain.helper = Helper::both;
    CHECK(digests.insert(spec_digest(plain)).second);
    plain.system_disk_mib = 1;
    CHECK(digests.insert(spec_digest(plain)).second);
}

TEST_CASE("cards, the seed and both channels are in the XML; a card keeps its address")
{
    auto spec = sample();
    spec.networks = {
        {.kind = NetworkCard::Kind::user, .source = {}, .mac = {}},
        {.kind = NetworkCard::Kind::network, .source = "default", .mac = {}},
        {.kind = NetworkCard::Kind::bridge, .source = "br0", .mac = "52:54:00:0a:0b:0c"}};
    spec.seed = ResolvedSeed{.path = "/s", .sha256 = std::string(64, 'e')};
    spec.helper = Helper::both;
    auto places = paths;
    places.seed = "/f/boot/e";
    const auto about = virt::describe_domain(domain_xml(spec, places, "qemu"));
    REQUIRE(about.interfaces.size() == 3);
    CHECK(about.interfaces[1].source == "default");
    CHECK(about.interfaces[2].source == "br0");
    CHECK(about.interfaces[2].mac == "52:54:00:0a:0b:0c");
    CHECK(about.interfaces[0].mac != about.interfaces[1].mac);
    REQUIRE(about.disks.size() == 3);
    CHECK(about.disks[2].source == "/f/boot/e");
    CHECK(about.disks[2].read_only);
    CHECK(about.disks[2].format == "raw");
    REQUIRE(about.channels.size() == 2);
    spec.image.digest = std::string(64, 'd');
    const auto again = virt::describe_domain(domain_xml(spec, places, "kvm"));
    CHECK(again.interfaces[0].mac == about.interfaces[0].mac);
}

TEST_CASE("a definition's digest changes with everything in it but the mark, the id and blanks")
{
    const auto xml = domain_xml(sample(), paths, "qemu");
    const auto digest = virt::definition_digest(xml);
    auto other = sample();
    other.image.digest = std::string(64, 'd'); // in the mark alone
    CHECK(virt::definition_digest(domain_xml(other, paths, "qemu")) == digest);
    auto spaced = xml;
    spaced.replace(spaced.find("<domain"), 7, "<domain id='3'");
    spaced.insert(spaced.find("<vcpu"), "\n\n   ");
    CHECK(virt::definition_digest(spaced) == digest);
    other = sample();
    other.memory_mib = 97;
    CHECK(virt::definition_digest(domain_xml(other, paths, "qemu")) != digest);
    CHECK(virt::definition_digest(domain_xml(sample(), paths, "kvm")) != digest);
}
