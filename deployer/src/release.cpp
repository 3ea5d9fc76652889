#include "stemma/deployer/release.hpp"

#include "stemma/config/yaml.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <set>

namespace stemma::deployer {

namespace {

using config::Node;

constexpr std::size_t max_vms = 10000;

std::uint64_t number(const Node& node, std::int64_t low, std::int64_t high)
{
    return static_cast<std::uint64_t>(node.integer_within(low, high));
}

std::chrono::seconds seconds(const Node& node, std::int64_t low, std::int64_t high)
{
    return std::chrono::seconds(node.integer_within(low, high));
}

std::map<std::string, std::string> labels_of(const Node& node)
{
    std::map<std::string, std::string> labels;
    for (const auto& [key, value] : node.members()) {
        labels.emplace(key, value.text());
    }
    return labels;
}

DirectBoot boot_of(const Node& node)
{
    node.allow_only({"kernel", "initrd", "cmdline"});
    DirectBoot boot;
    boot.kernel = normal_path(node.at("kernel").text(), node.folder());
    if (const auto initrd = node.find("initrd")) {
        boot.initrd = normal_path(initrd->text(), node.folder());
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
                      .size_mib = number(element.at("size_mib"), 1, 64LL << 20U)};
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

const std::vector<std::string>& vm_keys()
{
    static const std::vector<std::string> keys = {
        "image", "host", "hosts", "memory_mib", "vcpus", "network", "boot", "data_disks"};
    return keys;
}

/// Sets what `node` says; what it leaves out stays.
void apply_vm_keys(const Node& node, VmWanted& vm)
{
    if (const auto image = node.find("image")) {
        vm.image = image->text();
    }
    if (const auto host = node.find("host")) {
        vm.host = host->text();
        vm.labels.clear();
    }
    if (const auto hosts = node.find("hosts")) {
        vm.labels = labels_of(*hosts);
        vm.host.clear();
    }
    if (const auto memory = node.find("memory_mib")) {
        vm.memory_mib = number(*memory, 32, 16LL << 20U);
    }
    if (const auto vcpus = node.find("vcpus")) {
        vm.vcpus = static_cast<unsigned>(number(*vcpus, 1, 512));
    }
    if (const auto network = node.find("network")) {
        vm.network = network->text();
        if (!is_name(vm.network)) {
            network->refuse("not a network: \"" + vm.network + "\"",
                            "user, none, or the name of a libvirt network");
        }
    }
    if (const auto boot = node.find("boot")) {
        vm.boot = boot->is_null() ? std::nullopt : std::optional(boot_of(*boot));
    }
    if (const auto disks = node.find("data_disks")) {
        vm.data_disks = data_disks_of(*disks);
    }
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

FileCheck file_check_of(const Node& node)
{
    FileCheck check;
    if (node.is_scalar()) {
        check.path = node.text();
    } else {
        node.allow_only({"path", "sha256"});
        check.path = node.at("path").text();
        if (const auto digest = node.find("sha256")) {
            const auto known = Digest::from_hex(digest->text());
            if (!known) {
                digest->refuse("not a sha256: 64 hexadecimal digits, in quotes");
            }
            check.sha256 = known->hex();
        }
    }
    if (!check.path.starts_with('/')) {
        node.refuse("not an absolute path inside the VM: " + check.path);
    }
    return check;
}

TcpCheck tcp_check_of(const Node& node)
{
    node.allow_only({"address", "port", "send", "expect"});
    TcpCheck check;
    check.port = static_cast<std::uint16_t>(number(node.at("port"), 1, 65535));
    if (const auto address = node.find("address")) {
        check.address = address->text();
    }
    if (const auto send = node.find("send")) {
        check.send = send->text();
    }
    if (const auto expect = node.find("expect")) {
        check.expect = expect->text();
    }
    return check;
}

CommandCheck command_check_of(const Node& node)
{
    node.allow_only({"run", "exit", "expect"});
    CommandCheck check;
    check.argv = node.at("run").texts();
    if (check.argv.empty()) {
        node.at("run").refuse("no program is named");
    }
    if (const auto exit = node.find("exit")) {
        check.exit = static_cast<int>(exit->integer_within(0, 255));
    }
    if (const auto expect = node.find("expect")) {
        check.expect = expect->text();
    }
    return check;
}

Verification verification_of(const Node& root)
{
    Verification verify;
    const auto node = root.find("verify");
    if (!node) {
        return verify;
    }
    node->allow_only({"files", "tcp", "commands"});
    if (const auto files = node->find("files")) {
        for (const auto& element : files->elements()) {
            verify.files.push_back(file_check_of(element));
        }
    }
    if (const auto tcp = node->find("tcp")) {
        for (const auto& element : tcp->elements()) {
            verify.tcp.push_back(tcp_check_of(element));
        }
    }
    if (const auto commands = node->find("commands")) {
        for (const auto& element : commands->elements()) {
            verify.commands.push_back(command_check_of(element));
        }
    }
    return verify;
}

Rollout rollout_of(const Node& root)
{
    Rollout rollout;
    const auto node = root.find("rollout");
    if (!node) {
        return rollout;
    }
    node->allow_only({"canary",
                      "batch",
                      "boot_timeout_s",
                      "check_timeout_s",
                      "stop_timeout_s",
                      "pause_s",
                      "on_failure"});
    if (const auto canary = node->find("canary")) {
        rollout.canary = static_cast<unsigned>(number(*canary, 0, 10000));
    }
    if (const auto batch = node->find("batch")) {
        rollout.batch = static_cast<unsigned>(number(*batch, 0, 10000));
    }
    if (const auto timeout = node->find("boot_timeout_s")) {
        rollout.boot_timeout = seconds(*timeout, 1, 86400);
    }
    if (const auto timeout = node->find("check_timeout_s")) {
        rollout.check_timeout = seconds(*timeout, 1, 86400);
    }
    if (const auto timeout = node->find("stop_timeout_s")) {
        rollout.stop_timeout = seconds(*timeout, 0, 86400);
    }
    if (const auto pause = node->find("pause_s")) {
        rollout.pause = seconds(*pause, 0, 86400);
    }
    if (const auto on_failure = node->find("on_failure")) {
        rollout.on_failure = on_failure->one_of({"rollback", "stop"}) == "stop"
                                 ? Rollout::OnFailure::stop
                                 : Rollout::OnFailure::rollback;
    }
    return rollout;
}

Release release_of(const Node& root, std::string_view text)
{
    root.allow_only(
        {"version", "release", "release_version", "defaults", "vms", "verify", "rollout"});
    (void)root.at("version").integer_within(1, 1);
    Release release;
    release.name = root.at("release").text();
    if (!is_name(release.name)) {
        root.at("release").refuse("not a release's name: \"" + release.name + "\"",
                                  "letters, digits, \".\", \"_\" and \"-\", at most 63");
    }
    if (const auto version = root.find("release_version")) {
        release.version = version->text();
    }
    release.digest = sha256(text);
    release.vms = vms_of(root);
    release.verify = verification_of(root);
    release.rollout = rollout_of(root);
    return release;
}

} // namespace

Json to_json(const Verification& verify)
{
    Json files = Json::array();
    for (const auto& check : verify.files) {
        files.push_back({{"path", check.path}, {"sha256", check.sha256}});
    }
    Json tcp = Json::array();
    for (const auto& check : verify.tcp) {
        tcp.push_back({{"address", check.address},
                       {"port", check.port},
                       {"send", json_text(check.send)},
                       {"expect", json_text(check.expect)}});
    }
    Json commands = Json::array();
    for (const auto& check : verify.commands) {
        commands.push_back(
            {{"argv", check.argv}, {"exit", check.exit}, {"expect", json_text(check.expect)}});
    }
    return {{"files", files}, {"tcp", tcp}, {"commands", commands}};
}

Verification verification_from_json(const Json& json)
{
    Verification verify;
    for (const auto& check : array_member(json, "files")) {
        verify.files.push_back(
            {.path = string_member(check, "path"), .sha256 = string_member(check, "sha256")});
    }
    for (const auto& check : array_member(json, "tcp")) {
        verify.tcp.push_back({.address = string_member(check, "address"),
                              .port = static_cast<std::uint16_t>(integer_member(check, "port")),
                              .send = text_of(member(check, "send"), "send"),
                              .expect = text_of(member(check, "expect"), "expect")});
    }
    for (const auto& check : array_member(json, "commands")) {
        CommandCheck command;
        for (const auto& word : array_member(check, "argv")) {
            command.argv.push_back(text_of(word, "argv"));
        }
        command.exit = static_cast<int>(integer_member(check, "exit"));
        command.expect = text_of(member(check, "expect"), "expect");
        verify.commands.push_back(std::move(command));
    }
    return verify;
}

bool is_name(std::string_view text) noexcept
{
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !text.empty() && text.size() <= 63 && plain(text.front()) &&
           std::ranges::all_of(
               text, [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
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
            throw Error(ErrorCode::usage, fmt::format("not a pattern of names: {}", pattern));
        }
        const auto first_text = pattern.substr(open + 1, dots - open - 1);
        const auto first = parse_unsigned(first_text);
        const auto last = parse_unsigned(pattern.substr(dots + 2, close - dots - 2));
        if (!first || !last || *last < *first || *last - *first >= max_vms) {
            throw Error(ErrorCode::usage,
                        fmt::format("not a range of at most 10000 numbers: {}", pattern));
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

Release parse_release(std::string_view text, const std::string& name)
{
    return release_of(Node::parse(text, name), text);
}

Release load_release(const std::filesystem::path& path)
{
    return parse_release(read_file(path, std::uint64_t{1} << 20U), path.string());
}

} // namespace stemma::deployer
