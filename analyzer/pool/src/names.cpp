#include "stemma/analyzer/canonical.hpp"
#include "stemma/analyzer/key.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <map>

namespace stemma::analyzer {

namespace {

/// The text of an element: "∋ngi01" or "address∋10.0.0.1/24".
std::string_view element_of(const Feature& feature)
{
    const auto at = std::string_view(feature.attribute).find(element_mark);
    return at == std::string_view::npos
               ? std::string_view(feature.value)
               : std::string_view(feature.attribute).substr(at + element_mark.size());
}

bool is_address(std::string_view text)
{
    return std::count(text.begin(), text.end(), '.') == 3 &&
           text.find_first_not_of("0123456789.") == std::string_view::npos;
}

void take_address(std::string_view text, OwnNames& names)
{
    const std::string_view address = text.substr(0, text.find('/'));
    if (is_address(address) && !address.starts_with("127.") && !address.starts_with("0.") &&
        std::find(names.addresses.begin(), names.addresses.end(), address) ==
            names.addresses.end()) {
        names.addresses.emplace_back(address);
    }
}

/// Files in which systems write down their own addresses.
bool configures_network(std::string_view file)
{
    return file.starts_with("/etc/network/interfaces") || file.starts_with("/etc/netplan/") ||
           file.starts_with("/etc/systemd/network/") ||
           file.starts_with("/etc/NetworkManager/system-connections/") ||
           file.starts_with("/etc/sysconfig/network-scripts/");
}

/// Files whose settings take_setting() looks at.
bool holds_names(std::string_view file)
{
    return file == "/etc/hostname" || file == "/etc/machine-id" || configures_network(file);
}

void take_setting(const Feature& feature, OwnNames& names)
{
    const std::string_view file = feature.file;
    if (file == "/etc/hostname" && names.host.empty()) {
        const std::string_view whole = element_of(feature);
        names.host = whole.substr(0, whole.find('.'));
        if (names.host.size() < whole.size()) {
            names.fqdn = whole;
        }
    } else if (file == "/etc/machine-id" && element_of(feature).size() == 32) {
        names.machine_id = element_of(feature);
    } else if (configures_network(file)) {
        const std::string attribute = to_lower(feature.attribute);
        if (attribute.starts_with("address") || attribute.starts_with("ipaddr")) {
            take_address(element_of(feature), names);
        }
    }
}

void take_system(const Feature& feature, OwnNames& names)
{
    if (feature.attribute == "hostname") {
        names.host = feature.value.substr(0, feature.value.find('.'));
        if (names.host.size() < feature.value.size()) {
            names.fqdn = feature.value;
        }
    } else if (feature.attribute == "machine_id") {
        names.machine_id = feature.value;
    } else if (feature.attribute == "address" && feature.file != "/etc/hosts") {
        take_address(feature.value, names);
    }
}

void take_vm(const Feature& feature, OwnNames& names)
{
    const auto number = parse_unsigned(feature.value);
    if (feature.attribute == "memory_mib" && number) {
        names.memory_mib = *number;
    } else if (feature.attribute == "vcpus" && number) {
        names.vcpus = *number;
    } else if (feature.attribute == "uuid" && feature.identity.find("disk") != std::string::npos) {
        names.disk_ids.insert(to_lower(feature.value));
    } else if (feature.attribute.starts_with("address")) {
        take_address(feature.value, names);
    }
}

/// What nothing said before, from the lines of /etc/hosts that hold the host's name.
void take_hosts(const FeatureSet& set, OwnNames& names)
{
    constexpr std::string_view begin = "/etc/hosts:[";
    if (names.host.empty() || (!names.fqdn.empty() && !names.addresses.empty())) {
        return;
    }
    for (const Feature& feature : set.features) {
        std::string_view name = feature.identity;
        if (!name.starts_with(begin) || !name.ends_with(']')) {
            continue;
        }
        name = name.substr(begin.size(), name.size() - begin.size() - 1);
        if (names.fqdn.empty() && name.starts_with(names.host + ".")) {
            names.fqdn = name;
        }
        if (names.addresses.empty() && name == names.host) {
            take_address(feature.value, names);
        }
    }
}

/// "/etc/NAME/VERSION/…"
std::optional<std::pair<std::string, std::string>> version_in(std::string_view path)
{
    const auto parts = split(path, '/');
    if (parts.size() < 4 || parts[1] != "etc" || parts[3].empty() || parts[3].size() > 8) {
        return std::nullopt;
    }
    const std::string_view version = parts[3];
    if (version.front() < '0' || version.front() > '9' ||
        version.find_first_not_of("0123456789.") != std::string_view::npos) {
        return std::nullopt;
    }
    return std::pair(std::string(parts[2]), std::string(version));
}

} // namespace

OwnNames OwnNames::of(const FeatureSet& set)
{
    OwnNames names;
    std::map<std::string, std::set<std::string>> versions;
    const std::string* last = nullptr;
    bool of_names = false;
    for (const Feature& feature : set.features) {
        if (last == nullptr || feature.file != *last) { // features of one file follow each other
            last = &feature.file;
            of_names = holds_names(feature.file);
            if (auto version = version_in(feature.file)) {
                versions[version->first].insert(version->second);
            }
        }
        if (feature.kind == "setting") {
            if (of_names) {
                take_setting(feature, names);
            }
        } else if (feature.kind == "system" || feature.kind == "network") {
            take_system(feature, names);
        } else if (feature.kind == "vm") {
            take_vm(feature, names);
        }
    }
    for (const auto& [name, seen] : versions) {
        if (seen.size() == 1) { // two side by side are different things
            names.versions.emplace_back(name, *seen.begin());
        }
    }
    take_hosts(set, names);
    return names;
}

} // namespace stemma::analyzer
