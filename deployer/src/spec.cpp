#include "stemma/deployer/spec.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/guest/frame.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/xml.hpp"

namespace stemma::deployer {

namespace {

Json boot_json(const VmSpec& spec)
{
    if (!spec.boot) {
        return nullptr;
    }
    return {{"cmdline", spec.boot->cmdline},
            {"initrd", spec.boot->initrd},
            {"initrd_sha256", spec.boot->initrd_sha256},
            {"kernel", spec.boot->kernel},
            {"kernel_sha256", spec.boot->kernel_sha256}};
}

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

void write_network(virt::XmlWriter& xml, const std::string& network)
{
    if (network == "none") {
        return;
    }
    if (network == "user") {
        xml.open("interface", {{"type", "user"}});
    } else {
        xml.open("interface", {{"type", "network"}});
        xml.empty("source", {{"network", network}});
    }
    xml.empty("model", {{"type", "virtio"}});
    xml.close();
}

void write_devices(virt::XmlWriter& xml, const VmSpec& spec, const VmPaths& paths)
{
    xml.open("devices");
    write_disk(xml, paths.system_disk, disk_target(0), "");
    for (std::size_t i = 0; i < spec.data_disks.size(); ++i) {
        write_disk(xml, paths.data_disks.at(i), disk_target(i + 1), spec.data_disks[i].name);
    }
    xml.empty("controller", {{"type", "usb"}, {"model", "none"}});
    write_network(xml, spec.network);
    xml.open("serial", {{"type", "file"}});
    xml.empty("source", {{"path", paths.console}, {"append", "on"}});
    xml.empty("target", {{"port", "0"}});
    xml.close();
    // A fixed path: the automatic one contains the domain's id and changes with every start.
    xml.open("channel", {{"type", "unix"}});
    xml.empty("source", {{"mode", "bind"}, {"path", paths.channel}});
    xml.empty("target", {{"type", "virtio"}, {"name", guest::port_name}});
    xml.close();
    xml.empty("memballoon", {{"model", "none"}});
    xml.open("rng", {{"model", "virtio"}});
    xml.element("backend", "/dev/urandom", {{"model", "random"}});
    xml.close();
    xml.empty("panic", {{"model", "isa"}});
    xml.close();
}

} // namespace

std::string vm_uuid(std::string_view release, std::string_view name)
{
    return make_uuid5(stemma_uuid_space, fmt::format("{}/{}", release, name));
}

Json to_json(const VmSpec& spec)
{
    Json disks = Json::array();
    for (const auto& disk : spec.data_disks) {
        disks.push_back({{"name", disk.name}, {"size_mib", disk.size_mib}});
    }
    return {{"boot", boot_json(spec)},
            {"data_disks", disks},
            {"host", spec.host},
            {"image",
             {{"digest", spec.image.digest},
              {"format", spec.image.format},
              {"name", spec.image.name},
              {"path", spec.image.path},
              {"size", spec.image.size}}},
            {"memory_mib", spec.memory_mib},
            {"name", spec.name},
            {"network", spec.network},
            {"release", spec.release},
            {"uuid", spec.uuid},
            {"vcpus", spec.vcpus}};
}

VmSpec spec_from_json(const Json& json)
{
    VmSpec spec;
    spec.uuid = string_member(json, "uuid");
    spec.name = string_member(json, "name");
    spec.release = string_member(json, "release");
    spec.host = string_member(json, "host");
    const auto& image = member(json, "image");
    spec.image.name = string_member(image, "name");
    spec.image.digest = string_member(image, "digest");
    spec.image.format = string_member(image, "format");
    spec.image.path = string_member(image, "path");
    spec.image.size = static_cast<std::uint64_t>(integer_member(image, "size"));
    spec.memory_mib = static_cast<std::uint64_t>(integer_member(json, "memory_mib"));
    spec.vcpus = static_cast<unsigned>(integer_member(json, "vcpus"));
    spec.network = string_member(json, "network");
    if (const auto& boot = member(json, "boot"); !boot.is_null()) {
        spec.boot = ResolvedBoot{.kernel = string_member(boot, "kernel"),
                                 .kernel_sha256 = string_member(boot, "kernel_sha256"),
                                 .initrd = string_member(boot, "initrd"),
                                 .initrd_sha256 = string_member(boot, "initrd_sha256"),
                                 .cmdline = string_member(boot, "cmdline")};
    }
    for (const auto& disk : array_member(json, "data_disks")) {
        spec.data_disks.push_back(
            {.name = string_member(disk, "name"),
             .size_mib = static_cast<std::uint64_t>(integer_member(disk, "size_mib"))});
    }
    if (!is_name(spec.name) || !is_name(spec.release) || !Digest::from_hex(spec.image.digest)) {
        throw Error(ErrorCode::corrupt, "a VM's description with an impossible name or digest");
    }
    return spec;
}

std::string spec_digest(const VmSpec& spec)
{
    auto json = to_json(spec);
    json.erase("host");
    // An image is its content, whatever it is called and wherever it lies.
    json["image"] = spec.image.digest;
    if (spec.boot) {
        json["boot"].erase("kernel");
        json["boot"].erase("initrd");
    }
    return sha256(canonical_json(json)).hex();
}

std::string disk_target(std::size_t index)
{
    return std::string("vd") + static_cast<char>('a' + index);
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
