#include "stemma/analyzer/vm_features.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/virt/xml.hpp"

#include <map>

namespace stemma::analyzer {

namespace {

using virt::XmlElement;

class Collector {
public:
    explicit Collector(const XmlElement& root) : root_(root) {}

    std::vector<Feature> run()
    {
        add("", "type", root_.attribute("type"));
        add("", "vcpus", root_.text_at("vcpu"), ValueType::number);
        add_memory();
        add("",
            "machine",
            root_.find("os/type") == nullptr ? std::string{}
                                             : root_.attribute_at("os/type", "machine"));
        add("", "architecture", root_.attribute_at("os/type", "arch"));
        add_firmware();
        add("", "cpu_mode", root_.attribute_at("cpu", "mode"));
        add("", "cpu_model", root_.text_at("cpu/model"));
        add("", "clock", root_.attribute_at("clock", "offset"));
        add("", "on_crash", root_.text_at("on_crash"));
        add("", "kernel", root_.text_at("os/kernel"), ValueType::path);
        add("", "kernel_arguments", root_.text_at("os/cmdline"));
        add_disks();
        add_interfaces();
        add_others();
        return std::move(features_);
    }

private:
    void add(std::string_view identity,
             std::string_view attribute,
             std::string_view value,
             ValueType type = ValueType::text)
    {
        if (value.empty() && type != ValueType::present) {
            return;
        }
        Feature feature;
        feature.kind = "vm";
        feature.type = "vm";
        feature.identity = identity;
        feature.attribute = attribute;
        feature.value = type == ValueType::present ? std::string_view("present") : value;
        feature.value_type = type;
        features_.push_back(std::move(feature));
    }

    void add_memory()
    {
        // libvirt prints KiB; other units come from hand-written XML.
        static const std::map<std::string, std::uint64_t, std::less<>> units = {
            {"", 1}, {"KiB", 1}, {"k", 1}, {"MiB", 1024}, {"M", 1024}, {"GiB", 1024ULL * 1024}};
        const auto amount = parse_unsigned(root_.text_at("memory"));
        const auto unit = units.find(root_.attribute_at("memory", "unit"));
        if (amount && unit != units.end() && *amount < (1ULL << 40U)) {
            add("", "memory_mib", std::to_string(*amount * unit->second / 1024), ValueType::number);
        } else {
            add("", "memory", root_.text_at("memory"));
        }
    }

    void add_firmware()
    {
        const auto loader = root_.text_at("os/loader");
        add("",
            "firmware",
            root_.attribute_at("os", "firmware") == "efi" || !loader.empty() ? "efi" : "bios");
        add("", "loader", loader, ValueType::path);
        add("", "secure_boot", root_.attribute_at("os/loader", "secure"));
    }

    void add_disks()
    {
        for (const auto* disk : root_.all("devices/disk")) {
            const auto record = fmt::format("disk[{}]", disk->attribute_at("target", "dev"));
            add(record, "device", disk->attribute("device"));
            add(record, "source_type", disk->attribute("type"));
            add(record, "bus", disk->attribute_at("target", "bus"));
            add(record, "format", disk->attribute_at("driver", "type"));
            add(record, "cache", disk->attribute_at("driver", "cache"));
            add(record, "io", disk->attribute_at("driver", "io"));
            add(record, "discard", disk->attribute_at("driver", "discard"));
            add(record, "source", disk->attribute_at("source", "file"), ValueType::path);
            add(record,
                "read_only",
                disk->find("readonly") == nullptr ? "false" : "true",
                ValueType::boolean);
            add_limits(record, *disk);
        }
    }

    void add_limits(const std::string& record, const XmlElement& disk)
    {
        const auto* limits = disk.find("iotune");
        if (limits == nullptr) {
            return;
        }
        for (const auto& limit : limits->children) {
            add(record, "limit/" + limit.name, trim(limit.text), ValueType::number);
        }
    }

    void add_interfaces()
    {
        std::size_t number = 0;
        for (const auto* interface : root_.all("devices/interface")) {
            const auto record = fmt::format("interface[{}]", number++);
            add(record, "type", interface->attribute("type"));
            add(record, "model", interface->attribute_at("model", "type"));
            add(record, "mac", interface->attribute_at("mac", "address"), ValueType::address);
            add(record, "link", interface->attribute_at("link", "state"));
            for (const auto* attribute : {"network", "bridge", "dev"}) {
                add(record, attribute, interface->attribute_at("source", attribute));
            }
        }
    }

    /// Devices of which only presence and model tell something.
    void add_others()
    {
        for (const auto* channel : root_.all("devices/channel")) {
            add(fmt::format("channel[{}]", channel->attribute_at("target", "name")),
                "present",
                "",
                ValueType::present);
        }
        for (const auto* name :
             {"rng", "watchdog", "panic", "tpm", "memballoon", "video", "vsock"}) {
            std::size_t number = 0;
            for (const auto* device : root_.all(std::string("devices/") + name)) {
                const auto record = fmt::format("{}[{}]", name, number++);
                const auto model = device->attribute("model");
                add(record, "model", model.empty() ? "default" : model);
                add(record, "action", device->attribute("action"));
            }
        }
        if (const auto* switches = root_.find("features")) {
            for (const auto& feature : switches->children) {
                const auto state = feature.attribute("state");
                add("features", feature.name, state.empty() ? "on" : state);
            }
        }
    }

    const XmlElement& root_;
    std::vector<Feature> features_;
};

} // namespace

std::vector<Feature> vm_features(const std::string& domain_xml)
{
    const auto root = virt::parse_xml(domain_xml, "libvirt's domain XML");
    if (root.name != "domain") {
        throw Error(ErrorCode::corrupt, "libvirt's XML is not a domain's");
    }
    return Collector(root).run();
}

} // namespace stemma::analyzer
