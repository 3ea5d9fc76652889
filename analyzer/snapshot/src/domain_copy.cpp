#include "domain_copy.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/virt/xml.hpp"

#include <algorithm>

namespace stemma::analyzer {

namespace {

using virt::XmlElement;

XmlElement* child(XmlElement& element, std::string_view name)
{
    const auto found = std::find_if(element.children.begin(),
                                    element.children.end(),
                                    [&](const auto& other) { return other.name == name; });
    return found == element.children.end() ? nullptr : &*found;
}

void drop(XmlElement& element, std::string_view name)
{
    std::erase_if(element.children, [&](const auto& other) { return other.name == name; });
}

void set_text(XmlElement& element, std::string_view name, const std::string& text)
{
    drop(element, name);
    element.children.push_back(
        {.name = std::string(name), .attributes = {}, .text = text, .children = {}});
}

void write_element(std::string& out, const XmlElement& element)
{
    out += "<" + element.name;
    for (const auto& [name, value] : element.attributes) {
        out += fmt::format(" {}=\"{}\"", name, virt::xml_escape(value));
    }
    const auto text = trim(std::string_view(element.text));
    if (text.empty() && element.children.empty()) {
        out += "/>";
        return;
    }
    out += ">" + virt::xml_escape(text);
    for (const auto& inner : element.children) {
        write_element(out, inner);
    }
    out += "</" + element.name + ">";
}

/// One device of the copy.
class DeviceCopier {
public:
    DeviceCopier(const CopyNames& names, std::vector<std::string>& left_out)
        : names_(names), left_out_(left_out)
    {
    }

    /// returns  false: the copy cannot have it
    bool take(XmlElement& device)
    {
        drop(device, "alias");
        if (device.name == "disk") {
            return take_disk(device);
        }
        if (device.name == "hostdev") {
            left_out_.emplace_back("a device of the host");
            return false;
        }
        if (device.name == "interface") {
            drop(device, "mac");
        } else if (device.name == "channel") {
            take_channel(device);
        } else if (device.name == "serial" || device.name == "console") {
            take_console(device);
        } else if (device.name == "graphics") {
            device.attributes.erase("port");
            device.attributes["autoport"] = "yes";
        }
        return true;
    }

private:
    bool take_disk(XmlElement& disk)
    {
        const auto target = disk.attribute_at("target", "dev");
        const auto kind = disk.attribute("device");
        if (target == names_.target) {
            drop(disk, "backingStore");
            drop(disk, "source");
            disk.attributes["type"] = "file";
            disk.children.push_back({.name = "source",
                                     .attributes = {{"file", names_.disk}},
                                     .text = {},
                                     .children = {}});
            if (auto* driver = child(disk, "driver")) {
                driver->attributes["type"] = "qcow2";
            }
            return true;
        }
        if (kind == "cdrom" || kind == "floppy" || disk.find("readonly") != nullptr) {
            return true;
        }
        left_out_.push_back(
            fmt::format("disk {} ({})", target, printable(disk.attribute_at("source", "file"))));
        return false;
    }

    /// libvirt chooses another socket of its own.
    static void take_channel(XmlElement& channel)
    {
        if (channel.attribute("type") == "unix") {
            drop(channel, "source");
            if (auto* target = child(channel, "target")) {
                target->attributes.erase("state");
            }
        }
    }

    void take_console(XmlElement& console) const
    {
        drop(console, "log");
        auto* source = child(console, "source");
        if (console.attribute("type") == "file" && source != nullptr) {
            source->attributes["path"] = names_.console;
        } else if (console.attribute("type") == "unix") {
            drop(console, "source");
            console.attributes["type"] = "pty";
        }
    }

    const CopyNames& names_;
    std::vector<std::string>& left_out_;
};

} // namespace

DomainCopy copy_domain(const std::string& domain_xml, const CopyNames& names)
{
    auto root = virt::parse_xml(domain_xml, "the VM's definition");
    if (root.name != "domain") {
        throw Error(ErrorCode::corrupt, "the VM's definition is no domain's XML");
    }
    DomainCopy copy;
    root.attributes.erase("id");
    drop(root, "metadata");
    drop(root, "seclabel");
    std::erase_if(root.children, [&](const XmlElement& element) {
        const bool foreign = element.name.find(':') != std::string::npos;
        if (foreign) { // its name space is not known here
            copy.left_out.push_back(element.name);
        }
        return foreign;
    });
    set_text(root, "name", names.name);
    set_text(root, "uuid", names.uuid);
    if (auto* system = child(root, "os")) {
        drop(*system, "nvram");
    }
    if (auto* devices = child(root, "devices")) {
        DeviceCopier copier(names, copy.left_out);
        std::erase_if(devices->children, [&](XmlElement& device) { return !copier.take(device); });
    }
    write_element(copy.xml, root);
    return copy;
}

} // namespace stemma::analyzer
