#include "stemma/deployer/spec.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/xml.hpp"

#include <catch2/catch.hpp>

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
                    .initrd = "/f/boot/c"};

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
