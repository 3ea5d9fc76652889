#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "sink.hpp"

/// What the system as a whole is: its release, name, network and what it boots.
namespace stemma::analyzer {

namespace {

std::string unquoted(std::string_view text)
{
    text = trim(text);
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
        text.back() == text.front()) {
        text = text.substr(1, text.size() - 2);
    }
    return std::string(text);
}

void read_os_release(Source& source, Sink& sink)
{
    for (const std::string path : {"/etc/os-release", "/usr/lib/os-release"}) {
        const auto text = source.text(path, sink);
        if (!text) {
            continue;
        }
        Adder add{sink, "system", path};
        for (const auto line : split_lines(*text)) {
            ++add.line;
            const auto equals = line.find('=');
            const auto key = to_lower(trim(line.substr(0, equals)));
            static const std::set<std::string, std::less<>> wanted = {
                "id", "version_id", "pretty_name", "version_codename", "variant_id", "build_id"};
            if (equals != std::string_view::npos && wanted.count(key) != 0) {
                add("os", key, unquoted(line.substr(equals + 1)));
            }
        }
        return;
    }
    sink.miss("systems without os-release", "/etc/os-release");
}

/// The first line of a small file that holds one value.
void read_line(Source& source, Sink& sink, const std::string& path, std::string_view attribute)
{
    const auto text = source.text(path, sink);
    if (!text) {
        return;
    }
    std::uint32_t number = 0;
    for (const auto line : split_lines(*text)) {
        ++number;
        const auto value = trim(line);
        if (!value.empty() && value.front() != '#') {
            Adder{sink, "system", path, number}("", attribute, value);
            return;
        }
    }
}

void read_time_zone(Source& source, Sink& sink)
{
    constexpr std::string_view zones = "/zoneinfo/";
    const auto target = source.link("/etc/localtime", sink);
    const auto at = target.find(zones);
    if (at != std::string::npos) {
        Adder{sink, "system", "/etc/localtime"}("", "time_zone", target.substr(at + zones.size()));
    } else {
        read_line(source, sink, "/etc/timezone", "time_zone");
    }
}

/// The host's own names in /etc/hosts: the line of a loopback or own address that holds the name.
void read_own_names(Source& source, Sink& sink, const std::string& host)
{
    const auto text = source.text("/etc/hosts", sink);
    if (!text || host.empty()) {
        return;
    }
    Adder add{sink, "network", "/etc/hosts"};
    for (const auto line : split_lines(*text)) {
        ++add.line;
        const auto words = split_words(line.substr(0, line.find('#')));
        if (words.size() < 2 || std::find(words.begin() + 1, words.end(), host) == words.end()) {
            continue;
        }
        add("", "own_address", words[0], ValueType::address);
        for (std::size_t i = 1; i < words.size(); ++i) {
            if (words[i].size() > host.size() && words[i].starts_with(host) &&
                words[i][host.size()] == '.') {
                add("", "fqdn", words[i], ValueType::address);
            }
        }
        return;
    }
}

void read_resolver(Source& source, Sink& sink)
{
    const std::string path = "/etc/resolv.conf";
    const auto text = source.text(path, sink);
    if (!text) {
        return;
    }
    Adder add{sink, "network", path};
    std::size_t servers = 0;
    for (const auto line : split_lines(*text)) {
        ++add.line;
        const auto words = split_words(line);
        if (words.size() < 2) {
            continue;
        }
        if (words[0] == "nameserver") {
            add("resolver", fmt::format("nameserver[{}]", ++servers), words[1], ValueType::address);
        } else if (words[0] == "domain") {
            add("resolver", "domain", words[1]);
        } else if (words[0] == "search") {
            add("resolver", "search", trim(line.substr(line.find("search") + 6)));
        }
    }
}

/// ifupdown: "iface eth0 inet static" and the indented lines after it.
void read_interfaces(Source& source, Sink& sink, const std::string& path)
{
    const auto text = source.text(path, sink);
    if (!text) {
        return;
    }
    Adder add{sink, "network", path};
    std::string name;
    for (const auto line : split_lines(*text)) {
        ++add.line;
        const auto words = split_words(line);
        if (words.size() < 2 || words[0].front() == '#') {
            continue;
        }
        if (words[0] == "iface") {
            name = words[1];
            if (words.size() > 3) {
                add(name, fmt::format("method[{}]", words[2]), words[3]);
            }
        } else if (words[0] == "auto" || words[0] == "allow-hotplug") {
            for (std::size_t i = 1; i < words.size(); ++i) {
                add(words[i], "start", words[0]);
            }
        } else if (!name.empty() &&
                   (words[0] == "address" || words[0] == "gateway" || words[0] == "netmask")) {
            add(name, words[0], words[1], ValueType::address);
        }
    }
}

/// systemd-networkd: [Match] Name=, [Network] Address=, DHCP=, Gateway=.
void read_networkd(Source& source, Sink& sink, const std::string& path)
{
    const auto text = source.text(path, sink);
    if (!text) {
        return;
    }
    Adder add{sink, "network", path};
    std::string name = path;
    for (const auto line : split_lines(*text)) {
        ++add.line;
        const auto equals = line.find('=');
        if (equals == std::string_view::npos || trim(line).starts_with("#")) {
            continue;
        }
        const auto key = trim(line.substr(0, equals));
        const auto value = trim(line.substr(equals + 1));
        if (key == "Name") {
            name = value;
        } else if (key == "Address" || key == "Gateway" || key == "DNS") {
            add(name, to_lower(key), value, ValueType::address);
        } else if (key == "DHCP") {
            add(name, "dhcp", value);
        }
    }
}

void read_command_line(Source& source, Sink& sink)
{
    const std::string path = "/boot/grub/grub.cfg";
    const auto text = source.text(path, sink);
    if (!text) {
        return;
    }
    Adder add{sink, "boot", path};
    add("", "loader", "grub");
    // The first entry is what boots without anybody's doing.
    for (const auto line : split_lines(*text)) {
        ++add.line;
        const auto words = split_words(line);
        if (words.size() > 1 && (words[0] == "linux" || words[0] == "linuxefi")) {
            add("default", "kernel", words[1], ValueType::path);
            for (std::size_t i = 2; i < words.size(); ++i) {
                const auto equals = words[i].find('=');
                const auto value = equals == std::string_view::npos ? std::string_view("present")
                                                                    : words[i].substr(equals + 1);
                add("default",
                    "argument/" + std::string(words[i].substr(0, equals)),
                    value,
                    equals == std::string_view::npos ? ValueType::present : ValueType::text);
            }
            return;
        }
    }
}

} // namespace

void extract_system(Source& source, Sink& sink)
{
    read_os_release(source, sink);
    read_line(source, sink, "/etc/hostname", "hostname");
    read_line(source, sink, "/etc/machine-id", "machine_id");
    read_line(source, sink, "/var/lib/dpkg/arch", "architecture");
    read_time_zone(source, sink);
}

void extract_network(Source& source, Sink& sink)
{
    std::string host;
    if (const auto text = source.text("/etc/hostname", sink)) {
        host = trim(*text);
    }
    read_own_names(source, sink, host);
    read_resolver(source, sink);
    read_interfaces(source, sink, "/etc/network/interfaces");
    for (const auto& entry : source.list("/etc/network/interfaces.d", sink)) {
        read_interfaces(source, sink, "/etc/network/interfaces.d/" + entry.name);
    }
    for (const auto& entry : source.list("/etc/systemd/network", sink)) {
        if (entry.name.ends_with(".network")) {
            read_networkd(source, sink, "/etc/systemd/network/" + entry.name);
        }
    }
}

void extract_boot(Source& source, Sink& sink)
{
    constexpr std::array<std::string_view, 4> prefixes = {
        "vmlinuz-", "initrd.img-", "initramfs-", "vmlinux-"};
    bool any = false;
    for (const auto& entry : source.list("/boot", sink)) {
        for (const auto prefix : prefixes) {
            if (entry.name.starts_with(prefix)) {
                any = true;
                const bool kernel = prefix.starts_with("vm");
                Adder{sink, "boot", "/boot/" + entry.name}.element(
                    "", kernel ? "kernels" : "initrds", entry.name.substr(prefix.size()));
            }
        }
    }
    for (const auto* folder : {"/usr/lib/modules", "/lib/modules"}) {
        for (const auto& entry : source.list(folder, sink)) {
            any = true;
            Adder{sink, "boot", fmt::format("{}/{}", folder, entry.name)}.element(
                "", "modules", entry.name);
        }
    }
    read_command_line(source, sink);
    if (source.exists("/boot/loader/loader.conf") ||
        source.exists("/boot/efi/loader/loader.conf")) {
        any = true;
        Adder{sink, "boot", ""}("", "loader", "systemd-boot");
    }
    if (!any && !source.exists("/boot/grub/grub.cfg")) {
        sink.unsupported("the tree holds no kernel, modules or boot loader");
    }
}

} // namespace stemma::analyzer
