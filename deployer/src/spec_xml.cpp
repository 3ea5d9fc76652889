// A VM's spec in libvirt's words.

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/deployer/spec.hpp"
#include "stemma/guest/frame.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/xml.hpp"

namespace stemma::deployer {

namespace {

void write_boot(virt::XmlWriter& xml, const VmSpec& spec, const VmPaths& paths, bool test)
{
    xml.open("os");
    if (test) {
        xml.element("type", "hvm");
    } else {
        xml.element("type", "hvm", {{"arch", "x86_64"}, {"machine", "pc"}});
    }
    if (spec.boot) {
        xml.element("kernel", paths.kernel);
        if (!paths.initrd.empty()) {
            xml.element("initrd", paths.initrd);
        }
        // The initrd of an image without a host name of its own reads it from here.
        xml.element("cmdline", spec.boot->cmdline + " stemma.name=" + spec.name);
    } else {
        xml.empty("boot", {{"dev", "hd"}});
    }
    xml.close();
}

void write_disk(virt::XmlWriter& xml,
                const std::string& path,
                const std::string& target,
                const std::string& serial)
{
    xml.open("disk", {{"type", "file"}, {"device", "disk"}});
    xml.empty("driver",
              {{"name", "qemu"}, {"type", "qcow2"}, {"cache", "writeback"}, {"discard", "unmap"}});
    xml.empty("source", {{"file", path}});
    xml.empty("target", {{"dev", target}, {"bus", "virtio"}});
    if (!serial.empty()) {
        xml.element("serial", serial.substr(0, 20)); // all that virtio-blk carries
    }
    xml.close();
}

/// The same for the same VM, so that it keeps its address through every new definition.
std::string mac_of(const VmSpec& spec, std::size_t card)
{
    const auto digest = sha256(fmt::format("{}/{}", spec.uuid, card)).bytes;
    return fmt::format("52:54:00:{:02x}:{:02x}:{:02x}", digest[0], digest[1], digest[2]);
}

void write_card(virt::XmlWriter& xml,
                const VmSpec& spec,
                const NetworkCard& card,
                std::size_t index)
{
    const auto kind = to_string(card.kind);
    xml.open("interface", {{"type", kind}});
    xml.empty("mac", {{"address", card.mac.empty() ? mac_of(spec, index) : card.mac}});
    if (!card.source.empty()) {
        xml.empty("source", {{kind, card.source}});
    }
    xml.empty("model", {{"type", "virtio"}});
    xml.close();
}

void write_networks(virt::XmlWriter& xml, const VmSpec& spec)
{
    for (std::size_t i = 0; i < spec.networks.size(); ++i) {
        write_card(xml, spec, spec.networks[i], i);
    }
    if (!spec.networks.empty() || spec.network == "none") {
        return;
    }
    NetworkCard card;
    if (spec.network != "user") {
        card = {.kind = NetworkCard::Kind::network, .source = spec.network, .mac = {}};
    }
    write_card(xml, spec, card, 0);
}

void write_seed(virt::XmlWriter& xml, const std::string& path, const std::string& target)
{
    xml.open("disk", {{"type", "file"}, {"device", "disk"}});
    xml.empty("driver", {{"name", "qemu"}, {"type", "raw"}});
    xml.empty("source", {{"file", path}});
    xml.empty("target", {{"dev", target}, {"bus", "virtio"}});
    xml.empty("readonly");
    xml.element("serial", "cidata");
    xml.close();
}

void write_channels(virt::XmlWriter& xml, const VmSpec& spec, const VmPaths& paths)
{
    if (spec.helper != Helper::agent) {
        // A fixed path: the automatic one contains the domain's id and changes with every start.
        xml.open("channel", {{"type", "unix"}});
        xml.empty("source", {{"mode", "bind"}, {"path", paths.channel}});
        xml.empty("target", {{"type", "virtio"}, {"name", guest::port_name}});
        xml.close();
    }
    if (spec.helper != Helper::stemma) {
        // libvirt itself talks to this one, so the path is its affair.
        xml.open("channel", {{"type", "unix"}});
        xml.empty("target", {{"type", "virtio"}, {"name", "org.qemu.guest_agent.0"}});
        xml.close();
    }
}

void write_devices(virt::XmlWriter& xml, const VmSpec& spec, const VmPaths& paths)
{
    xml.open("devices");
    write_disk(xml, paths.system_disk, disk_target(0), "");
    for (std::size_t i = 0; i < spec.data_disks.size(); ++i) {
        write_disk(xml, paths.data_disks.at(i), disk_target(1 + i), spec.data_disks[i].name);
    }
    if (spec.seed) {
        write_seed(xml, paths.seed, disk_target(1 + spec.data_disks.size()));
    }
    xml.empty("controller", {{"type", "usb"}, {"model", "none"}});
    write_networks(xml, spec);
    xml.open("serial", {{"type", "file"}});
    xml.empty("source", {{"path", paths.console}, {"append", "on"}});
    xml.empty("target", {{"port", "0"}});
    xml.close();
    write_channels(xml, spec, paths);
    xml.empty("memballoon", {{"model", "none"}});
    xml.open("rng", {{"model", "virtio"}});
    xml.element("backend", "/dev/urandom", {{"model", "random"}});
    xml.close();
    xml.empty("panic", {{"model", "isa"}});
    xml.close();
}

} // namespace

std::string disk_target(std::size_t index)
{
    return std::string("vd") + static_cast<char>('a' + index);
}

std::string mark_element(const VmSpec& spec, const std::string& definition)
{
    virt::XmlWriter xml;
    xml.empty("vm",
              {{"release", spec.release},
               {"image", spec.image.digest},
               {"spec", spec_digest(spec)},
               {"xml", definition}});
    return xml.finish();
}

std::string domain_xml(const VmSpec& spec, const VmPaths& paths, const std::string& accel)
{
    const bool test = accel == "test";
    virt::XmlWriter xml;
    xml.open("domain", {{"type", accel}});
    xml.element("name", spec.name);
    xml.element("uuid", spec.uuid);
    xml.open("metadata");
    xml.empty("stemma:vm",
              {{"xmlns:stemma", virt::metadata_space},
               {"release", spec.release},
               {"image", spec.image.digest},
               {"spec", spec_digest(spec)}});
    xml.close();
    xml.element("memory", std::to_string(spec.memory_mib), {{"unit", "MiB"}});
    xml.element("vcpu", std::to_string(spec.vcpus));
    write_boot(xml, spec, paths, test);
    xml.open("features").empty("acpi");
    if (accel == "qemu") {
        // QEMU would take a gigabyte for translated code on a large host.
        xml.open("tcg").element("tb-cache", "64", {{"unit", "MiB"}}).close();
    }
    xml.close();
    if (accel == "kvm") {
        xml.empty("cpu", {{"mode", "host-model"}});
    }
    xml.empty("clock", {{"offset", "utc"}});
    xml.element("on_poweroff", "destroy");
    xml.element("on_reboot", "restart");
    xml.element("on_crash", "destroy");
    write_devices(xml, spec, paths);
    xml.close();
    return xml.finish();
}

} // namespace stemma::deployer
