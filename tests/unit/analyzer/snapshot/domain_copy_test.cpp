#include "stemma/analyzer/disk_point.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/xml.hpp"

#include <catch2/catch.hpp>

#include "domain_copy.hpp"

using namespace stemma;
using namespace stemma::analyzer;

namespace {

const std::string definition = R"(<domain type="kvm" id="7">
  <name>shop</name><uuid>e9e90795-3bae-4741-8481-16cc414211bc</uuid>
  <metadata><stemma:vm xmlns:stemma="https://stemma.dev/ns/vm/1" release="shop" image="abc"/></metadata>
  <description>a &lt;shop&gt; &amp; more</description>
  <memory unit="KiB">98304</memory>
  <os><type arch="x86_64">hvm</type><nvram>/var/lib/shop_VARS.fd</nvram></os>
  <devices>
    <disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="/vms/shop/system.img"/>
      <backingStore/><target dev="vda" bus="virtio"/><alias name="virtio-disk0"/></disk>
    <disk type="file" device="disk"><source file="/vms/shop/data.qcow2"/><target dev="vdb"/></disk>
    <disk type="file" device="cdrom"><source file="/iso/seed.iso"/><target dev="sda"/><readonly/></disk>
    <interface type="bridge"><mac address="52:54:00:11:22:33"/><source bridge="br0"/></interface>
    <channel type="unix"><source mode="bind" path="/run/shop.sock"/><target type="virtio" name="org.stemma.guest.0"/></channel>
    <serial type="file"><source path="/vms/shop/console.log"/></serial>
    <graphics type="vnc" port="5901" autoport="no"/>
    <hostdev mode="subsystem" type="pci"/>
  </devices>
</domain>)";

const CopyNames names = {.name = "shop-2",
                         .uuid = "11111111-2222-5333-8444-555555555555",
                         .target = "vda",
                         .disk = "/vms/shop-2/a & b.qcow2",
                         .console = "/vms/shop-2/console.log"};

} // namespace

TEST_CASE("a copied VM shares nothing with the other one that two VMs cannot share")
{
    const auto copy = copy_domain(definition, names);
    for (const auto* own : {"52:54:00:11:22:33",
                            "/run/shop.sock",
                            "e9e90795",
                            "shop_VARS",
                            "/vms/shop/",
                            "5901",
                            "hostdev",
                            "stemma.dev",
                            "alias"}) {
        INFO(own);
        CHECK(copy.xml.find(own) == std::string::npos);
    }
    CHECK(copy.left_out ==
          std::vector<std::string>{"disk vdb (/vms/shop/data.qcow2)", "a device of the host"});
    const auto about = virt::describe_domain(copy.xml);
    CHECK(about.name == names.name);
    CHECK(about.uuid == names.uuid);
    CHECK(about.memory_mib == 96);
    REQUIRE(about.disks.size() == 2);
    CHECK(about.disks[0].source == names.disk);
    CHECK(about.disks[0].format == "qcow2");
    CHECK(about.disks[1].source == "/iso/seed.iso");
    REQUIRE(about.channels.size() == 1);
    CHECK(about.channels[0].name == "org.stemma.guest.0");
    const auto root = virt::parse_xml(copy.xml, "copy");
    CHECK(root.text_at("description") == "a <shop> & more");
    CHECK(root.attribute_at("devices/interface/source", "bridge") == "br0");
    CHECK(root.attribute_at("devices/serial/source", "path") == names.console);
}

TEST_CASE("what is no domain cannot be copied")
{
    for (const auto* text : {"", "<network/>", "<domain>"}) {
        CHECK(support::error_of([&] { (void)copy_domain(text, names); })->code() ==
              ErrorCode::corrupt);
    }
}

TEST_CASE("disks that a snapshot of the system disk does not have are named, a CD is none")
{
    const auto about = virt::describe_domain(definition);
    CHECK(other_disks(about, "vda") == std::vector<std::string>{"vdb"});
    CHECK(other_disks(about, "vdb") == std::vector<std::string>{"vda"});
}
