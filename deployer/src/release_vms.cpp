// `defaults` and `vms` of a release file.

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <set>

#include "release_parts.hpp"

namespace stemma::deployer {

namespace {

using config::Node;

constexpr std::size_t max_vms = 10000;
constexpr std::size_t max_cards = 16;

std::map<std::string, std::string> labels_of(const Node& node)
{
    std::map<std::string, std::string> labels;
    for (const auto& [key, value] : node.members()) {
        labels.emplace(key, value.text());
    }
    return labels;
}

std::filesystem::path boot_file_of(const Node& node)
{
    if (node.text().empty()) {
        node.refuse("the path of a boot file is empty");
    }
    return normal_path(node.text(), node.folder());
}

DirectBoot boot_of(const Node& node)
{
    node.allow_only({"kernel", "initrd", "cmdline"});
    DirectBoot boot;
    boot.kernel = boot_file_of(node.at("kernel"));
    if (const auto initrd = node.find("initrd")) {
        boot.initrd = boot_file_of(*initrd);
    }
    if (const auto cmdline = node.find("cmdline")) {
        boot.cmdline = cmdline->text();
    }
    return boot;
}

std::vector<DataDisk> data_disks_of(const Node& node)
{
    std::vector<DataDisk> disks;
    std::set<std::string> names;
    for (const auto& element : node.elements()) {
        element.allow_only({"name", "size_mib"});
        DataDisk disk{.name = element.at("name").text(),
                      .size_mib = number_of(element.at("size_mib"), 1, 64LL << 20U)};
        if (!is_name(disk.name) || !names.insert(disk.name).second) {
            element.at("name").refuse("not a fresh name for a data disk: " + disk.name);
        }
        disks.push_back(std::move(disk));
    }
    if (disks.size() > 20) {
        node.refuse("a VM has at most 20 data disks");
    }
    return disks;
}

std::string network_name_of(const Node& node)
{
    auto name = node.text();
    if (!is_name(name)) {
        node.refuse("not a network: \"" + printable(name) + "\"",
                    "user, none, or the name of a libvirt network");
    }
    return name;
}

/// Six pairs of digits; the first must not say "a group of cards".
std::string mac_of(const Node& node)
{
    auto mac = to_lower(node.text());
    const auto pairs = split(mac, ':');
    const bool good = pairs.size() == 6 && std::ranges::all_of(pairs, [](std::string_view pair) {
                          return pair.size() == 2 && from_hex(pair).has_value();
                      });
    if (!good || (hex_value(mac[1]) & 1) != 0) {
        node.refuse("not the address of a network card: " + printable(mac),
                    "like 52:54:00:12:34:56");
    }
    return mac;
}

NetworkCard card_of(const Node& node)
{
    NetworkCard card;
    if (node.is_scalar()) {
        card.source = network_name_of(node);
    } else {
        node.allow_only({"network", "bridge", "mac"});
        const auto bridge = node.find("bridge");
        if (bridge && node.find("network")) {
            bridge->refuse("a card is on a network or on a bridge, not on both");
        }
        card.source = network_name_of(bridge ? *bridge : node.at("network"));
        card.kind = bridge ? NetworkCard::Kind::bridge : NetworkCard::Kind::user;
        if (const auto mac = node.find("mac")) {
            card.mac = mac_of(*mac);
        }
    }
    if (card.kind != NetworkCard::Kind::bridge && card.source == "user") {
        card.source.clear();
    } else if (card.kind != NetworkCard::Kind::bridge) {
        card.kind = NetworkCard::Kind::network;
    }
    return card;
}

std::vector<NetworkCard> cards_of(const Node& node)
{
    std::vector<NetworkCard> cards;
    for (const auto& element : node.elements()) {
        cards.push_back(card_of(element));
    }
    if (cards.empty() || cards.size() > max_cards) {
        node.refuse("a VM has 1 to 16 network cards", "`network: none` for none");
    }
    return cards;
}

/// Several lines, or what begins like cloud-init's own texts, is the text itself.
TextSource text_source_of(const Node& node)
{
    const auto text = node.text();
    if (text.starts_with('#') || text.find('\n') != std::string::npos) {
        return {.text = text, .file = {}};
    }
    if (text.empty()) {
        node.refuse("neither a text nor the name of a file");
    }
    return {.text = {}, .file = normal_path(text, node.folder())};
}

CloudInit cloud_init_of(const Node& node)
{
    node.allow_only({"user_data", "meta_data", "network_config"});
    CloudInit cloud{.user_data = text_source_of(node.at("user_data")),
                    .meta_data = std::nullopt,
                    .network_config = std::nullopt};
    if (const auto meta = node.find("meta_data")) {
        cloud.meta_data = text_source_of(*meta);
    }
    if (const auto network = node.find("network_config")) {
        cloud.network_config = text_source_of(*network);
    }
    return cloud;
}

Helper helper_of(const Node& node)
{
    const auto word = node.one_of({"stemma", "agent", "both"});
    return word == "agent" ? Helper::agent : word == "both" ? Helper::both : Helper::stemma;
}

const std::vector<std::string>& vm_keys()
{
    static const std::vector<std::string> keys = {"image",
                                                  "host",
                                                  "hosts",
                                                  "spread",
                                                  "anti_affinity",
                                                  "memory_mib",
                                                  "vcpus",
                                                  "network",
                                                  "networks",
                                                  "system_disk_mib",
                                                  "boot",
                                                  "data_disks",
                                                  "cloud_init",
                                                  "helper"};
    return keys;
}

void apply_place_keys(const Node& node, VmWanted& vm)
{
    if (const auto host = node.find("host")) {
        vm.host = host->text();
        vm.labels.clear();
    }
    if (const auto hosts = node.find("hosts")) {
        if (node.find("host")) {
            node.refuse_key("hosts", "a VM has `host` or `hosts`, not both");
        }
        vm.labels = labels_of(*hosts);
        vm.host.clear();
    }
    if (const auto spread = node.find("spread")) {
        vm.spread = spread->text() == "host" ? std::string() : spread->text();
    }
    if (const auto apart = node.find("anti_affinity")) {
        vm.anti_affinity = apart->is_null() ? std::string() : apart->text();
    }
}

void apply_network_keys(const Node& node, VmWanted& vm)
{
    if (const auto network = node.find("network")) {
        vm.network = network_name_of(*network);
        vm.networks.clear();
    }
    if (const auto networks = node.find("networks")) {
        if (node.find("network")) {
            node.refuse_key("networks", "a VM has `network` or `networks`, not both");
        }
        vm.networks = cards_of(*networks);
    }
}

void apply_disk_keys(const Node& node, VmWanted& vm)
{
    if (const auto size = node.find("system_disk_mib")) {
        vm.system_disk_mib = number_of(*size, 1, 64LL << 20U);
    }
    if (const auto disks = node.find("data_disks")) {
        vm.data_disks = data_disks_of(*disks);
    }
    if (const auto cloud = node.find("cloud_init")) {
        vm.cloud_init = cloud->is_null() ? std::nullopt : std::optional(cloud_init_of(*cloud));
    }
}

/// Sets what `node` says; what it leaves out stays.
void apply_vm_keys(const Node& node, VmWanted& vm)
{
    if (const auto image = node.find("image")) {
        vm.image = image->text();
    }
    if (const auto memory = node.find("memory_mib")) {
        vm.memory_mib = number_of(*memory, 32, 16LL << 20U);
    }
    if (const auto vcpus = node.find("vcpus")) {
        vm.vcpus = static_cast<unsigned>(number_of(*vcpus, 1, 512));
    }
    if (const auto boot = node.find("boot")) {
        vm.boot = boot->is_null() ? std::nullopt : std::optional(boot_of(*boot));
    }
    if (const auto helper = node.find("helper")) {
        vm.helper = helper_of(*helper);
    }
    apply_place_keys(node, vm);
    apply_network_keys(node, vm);
    apply_disk_keys(node, vm);
}

VmWanted defaults_of(const Node& root)
{
    VmWanted vm;
    if (const auto defaults = root.find("defaults")) {
        defaults->allow_only(vm_keys());
        apply_vm_keys(*defaults, vm);
    }
    return vm;
}

std::vector<std::string> names_of(const Node& node)
{
    try {
        return expand_names(node.text());
    } catch (const Error& error) {
        node.refuse(error.message());
    }
}

} // namespace

std::vector<VmWanted> vms_of(const Node& root)
{
    const auto defaults = defaults_of(root);
    auto keys = vm_keys();
    keys.emplace_back("name");
    std::vector<VmWanted> vms;
    std::set<std::string> seen;
    for (const auto& element : root.at("vms").elements()) {
        element.allow_only(keys);
        VmWanted vm = defaults;
        apply_vm_keys(element, vm);
        vm.place = element.place();
        if (vm.image.empty()) {
            element.refuse("this VM has no image", "say `image: NAME` here or under `defaults`");
        }
        const auto name_node = element.at("name");
        vm.group = name_node.text();
        for (auto& name : names_of(name_node)) {
            if (!seen.insert(name).second) {
                name_node.refuse("a second VM of the name " + name);
            }
            vm.name = std::move(name);
            vms.push_back(vm);
        }
        if (vms.size() > max_vms) {
            element.refuse("more than 10000 VMs in one release");
        }
    }
    if (vms.empty()) {
        root.at("vms").refuse("a release without VMs", "`stemma release retire` takes one down");
    }
    return vms;
}

std::string_view to_string(Helper helper) noexcept
{
    switch (helper) {
    case Helper::agent:
        return "agent";
    case Helper::both:
        return "both";
    case Helper::stemma:
        break;
    }
    return "stemma";
}

std::vector<std::string> expand_names(std::string_view pattern)
{
    const auto open = pattern.find('{');
    std::vector<std::string> names;
    if (open == std::string_view::npos) {
        names.emplace_back(pattern);
    } else {
        const auto close = pattern.find('}', open);
        const auto dots = pattern.find("..", open);
        if (close == std::string_view::npos || dots == std::string_view::npos || dots > close) {
            throw Error(ErrorCode::usage,
                        fmt::format("not a pattern of names: {}", printable(pattern)));
        }
        const auto first_text = pattern.substr(open + 1, dots - open - 1);
        const auto first = parse_unsigned(first_text);
        const auto last = parse_unsigned(pattern.substr(dots + 2, close - dots - 2));
        if (!first || !last || *last < *first || *last - *first >= max_vms) {
            throw Error(
                ErrorCode::usage,
                fmt::format("not a range of at most 10000 numbers: {}", printable(pattern)));
        }
        const auto width = first_text.starts_with('0') ? first_text.size() : 1;
        for (auto i = *first; i <= *last; ++i) {
            names.push_back(fmt::format(
                "{}{:0{}}{}", pattern.substr(0, open), i, width, pattern.substr(close + 1)));
        }
    }
    for (const auto& name : names) {
        if (!is_name(name)) {
            throw Error(ErrorCode::usage,
                        fmt::format("not a name for a VM: \"{}\" (letters, digits, \".\", \"_\", "
                                    "\"-\", at most 63)",
                                    printable(name)));
        }
    }
    return names;
}

} // namespace stemma::deployer
