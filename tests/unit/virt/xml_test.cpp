#include "stemma/support/errors.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/xml.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::virt;
using support::error_of;

TEST_CASE("every value that goes into XML comes out of it again")
{
    for (const std::string value : {"plain",
                                    "<&>\"'",
                                    "]]>",
                                    "<!-- x -->",
                                    "&amp;",
                                    "tab\tand\nnewline",
                                    " spaces ",
                                    "gr\xc3\xbc\xc3\x9f",
                                    ""}) {
        XmlWriter xml;
        xml.open("a", {{"k", value}}).element("b", value).empty("c", {{"k", value}}).close();
        const auto root = parse_xml(xml.finish(), "test");
        INFO(value);
        CHECK(root.attribute("k") == value);
        CHECK(root.find("b")->text == value);
        CHECK(root.attribute_at("c", "k") == value);
    }
}

TEST_CASE("what XML cannot carry is refused and not dropped")
{
    for (const std::string& value :
         {std::string("\0", 1), std::string("\x01"), std::string("\xff")}) {
        CHECK(error_of([&] { (void)xml_escape(value); }));
    }
    XmlWriter open;
    open.open("a");
    CHECK(error_of([&] { (void)open.finish(); }));
}

TEST_CASE("hostile XML is refused: types, entities, depth, size, halves")
{
    std::string deep;
    for (int i = 0; i < 100; ++i) {
        deep += "<a>";
    }
    for (int i = 0; i < 100; ++i) {
        deep += "</a>";
    }
    for (const std::string& text : {std::string(),
                                    std::string("<a"),
                                    std::string("<a></b>"),
                                    std::string("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>"),
                                    std::string("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"),
                                    deep,
                                    std::string((std::size_t{5} << 20U), ' ')}) {
        const auto error = error_of([&] { (void)parse_xml(text, "hostile"); });
        INFO(text.substr(0, 60));
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::corrupt);
    }
}

TEST_CASE("a domain's XML cut at any byte is refused")
{
    const std::string whole = "<domain type='qemu'><name>a</name><uuid>u</uuid><memory unit='KiB'>"
                              "98304</memory><vcpu>2</vcpu></domain>";
    CHECK(describe_domain(whole).memory_mib == 96);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CHECK(error_of([&] { (void)describe_domain(whole.substr(0, length)); }));
    }
    CHECK(error_of([] { (void)describe_domain("<network/>"); }));
}

TEST_CASE("a domain that others made is described without our marks")
{
    const auto about = describe_domain(R"(<domain type='kvm'><name>x</name><uuid>u</uuid>
        <memory unit='GiB'>2</memory><vcpu>1</vcpu><devices>
        <disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/x'/><target dev='vda'/></disk>
        <disk type='file' device='cdrom'><target dev='hda'/><readonly/></disk>
        <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>
        </devices></domain>)");
    CHECK(about.release.empty());
    CHECK(about.memory_mib == 2048);
    REQUIRE(about.disks.size() == 2);
    CHECK(about.disks[0].source == "/dev/vg/x");
    CHECK(about.disks[1].read_only);
    CHECK(about.interfaces.at(0).source == "br0");
}
