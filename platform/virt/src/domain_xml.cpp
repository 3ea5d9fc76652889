#include "stemma/virt/domain_xml.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/virt/xml.hpp"

namespace stemma::virt {

namespace {

std::uint64_t memory_of(const XmlElement& root)
{
    const auto number = parse_unsigned(root.text_at("memory")).value_or(0);
    const auto unit = root.attribute_at("memory", "unit");
    if (unit == "MiB") {
        return number;
    }
    if (unit == "GiB") {
        return number * 1024;
    }
    if (unit == "b" || unit == "bytes") {
        return number >> 20U;
    }
    return number / 1024; // KiB is the default, and what libvirt prints
}

DiskInfo disk_of(const XmlElement& disk)
{
    DiskInfo info{.target = disk.attribute_at("target", "dev"),
                  .device = disk.attribute("device"),
                  .type = disk.attribute("type"),
                  .source = disk.attribute_at("source", "file"),
                  .format = disk.attribute_at("driver", "type"),
                  .read_only = disk.find("readonly") != nullptr};
    if (info.source.empty()) {
        info.source = disk.attribute_at("source", "dev");
    }
    if (info.device.empty()) {
        info.device = "disk";
    }
    return info;
}

InterfaceInfo interface_of(const XmlElement& interface)
{
    InterfaceInfo info{.type = interface.attribute("type"),
                       .source = interface.attribute_at("source", "network"),
                       .mac = interface.attribute_at("mac", "address")};
    if (info.source.empty()) {
        info.source = interface.attribute_at("source", "bridge");
    }
    return info;
}

/// Lengths before texts: no two trees give the same bytes.
void flatten(const XmlElement& element, std::string& bytes)
{
    const auto put = [&](std::string_view text) {
        bytes += fmt::format("{}:{}", text.size(), text);
    };
    put(element.name);
    bytes += fmt::format("{}a", element.attributes.size());
    for (const auto& [name, value] : element.attributes) {
        put(name);
        put(value);
    }
    put(trim(element.text));
    bytes += fmt::format("{}c", element.children.size());
    for (const auto& child : element.children) {
        flatten(child, bytes);
    }
}

} // namespace

std::string definition_digest(const std::string& xml)
{
    auto root = parse_xml(xml, "domain XML");
    root.attributes.erase("id");
    std::erase_if(root.children, [](const XmlElement& child) { return child.name == "metadata"; });
    std::string bytes;
    flatten(root, bytes);
    return sha256(bytes).hex();
}

DomainDescription describe_domain(const std::string& xml)
{
    const auto root = parse_xml(xml, "domain XML");
    if (root.name != "domain") {
        throw Error(ErrorCode::corrupt, "not a domain's XML: the root is " + root.name);
    }
    DomainDescription domain;
    domain.name = root.text_at("name");
    domain.uuid = root.text_at("uuid");
    domain.type = root.attribute("type");
    domain.memory_mib = memory_of(root);
    domain.vcpus = static_cast<unsigned>(parse_unsigned(root.text_at("vcpu")).value_or(0));
    for (const auto* disk : root.all("devices/disk")) {
        domain.disks.push_back(disk_of(*disk));
    }
    for (const auto* channel : root.all("devices/channel")) {
        domain.channels.push_back({.name = channel->attribute_at("target", "name"),
                                   .path = channel->attribute_at("source", "path"),
                                   .state = channel->attribute_at("target", "state")});
    }
    for (const auto* interface : root.all("devices/interface")) {
        domain.interfaces.push_back(interface_of(*interface));
    }
    if (const auto* ours = root.find("metadata/stemma:vm"); ours != nullptr) {
        domain.release = ours->attribute("release");
        domain.image = ours->attribute("image");
        domain.spec_digest = ours->attribute("spec");
        domain.xml_digest = ours->attribute("xml");
    }
    return domain;
}

} // namespace stemma::virt
