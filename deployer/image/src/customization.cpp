#include "stemma/config/yaml.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/customize.hpp"

#include <algorithm>

namespace stemma::image {

namespace {

using config::Node;

constexpr std::uint64_t most_file = std::uint64_t{16} << 20U;

std::string safe_word(const Node& node, std::string_view extra)
{
    auto text = node.text();
    const bool sound = !text.empty() && text.size() <= 253 && text.front() != '-' &&
                       text.front() != '.' && std::all_of(text.begin(), text.end(), [&](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                  (c >= '0' && c <= '9') || extra.find(c) != std::string_view::npos;
                       });
    if (!sound || text.find("..") != std::string::npos) {
        node.refuse(fmt::format("not a possible name: {}", printable(text)));
    }
    return text;
}

std::string absolute_path(const Node& node)
{
    auto text = node.text();
    if (!text.starts_with('/') || text.ends_with('/') || text.find("/../") != std::string::npos ||
        text.ends_with("/..") || text.find('\0') != std::string::npos) {
        node.refuse(fmt::format("not a place in an image: {}", printable(text)),
                    "an absolute path without ..");
    }
    return text;
}

std::uint32_t mode_of(const Node& node)
{
    std::uint32_t mode = 0;
    auto text = node.text();
    for (const char digit : text) {
        if (digit < '0' || digit > '7' || mode > 07777) {
            node.refuse("not an octal mode", "quote it: mode: \"0644\"");
        }
        mode = mode * 8 + static_cast<std::uint32_t>(digit - '0');
    }
    return mode;
}

/// Puts values in for ${name}; "$$" is a dollar, any other "$" stays.
std::string
fill(const Node& place, const std::string& text, const std::map<std::string, std::string>& values)
{
    std::string filled;
    for (std::size_t at = 0; at < text.size();) {
        if (text.compare(at, 2, "$$") == 0) {
            filled += '$';
            at += 2;
            continue;
        }
        const auto close = text.compare(at, 2, "${") == 0 ? text.find('}', at) : std::string::npos;
        if (close == std::string::npos) {
            filled += text[at++];
            continue;
        }
        const auto name = text.substr(at + 2, close - at - 2);
        const auto value = values.find(name);
        if (value == values.end()) {
            place.refuse(fmt::format("there is no value for ${{{}}}", printable(name)),
                         "add it to values:, or write $$ for a dollar");
        }
        filled += value->second;
        at = close + 1;
    }
    return filled;
}

Customization::File read_file_entry(const Node& node,
                                    const std::map<std::string, std::string>& values)
{
    node.allow_only({"path", "content", "source", "template", "mode"});
    Customization::File file;
    file.path = absolute_path(node.at("path"));
    const auto content = node.find("content");
    const auto source = node.find("source");
    const auto from_template = node.find("template");
    if ((content ? 1 : 0) + (source ? 1 : 0) + (from_template ? 1 : 0) != 1) {
        node.refuse("a file needs exactly one of content, source and template");
    }
    if (content) {
        file.content = content->text();
    } else if (source) {
        file.content = read_file(normal_path(source->text(), node.folder()), most_file);
    } else {
        const auto text = read_file(normal_path(from_template->text(), node.folder()), most_file);
        file.content = fill(*from_template, text, values);
    }
    if (const auto mode = node.find("mode")) {
        file.mode = mode_of(*mode);
    }
    return file;
}

void read_services(const Node& node, Customization& into)
{
    node.allow_only({"enable", "disable", "mask"});
    const auto names = [&](std::string_view key, std::vector<std::string>& list) {
        if (const auto some = node.find(key)) {
            for (const Node& each : some->elements()) {
                list.push_back(safe_word(each, ".-_@:\\"));
            }
        }
    };
    names("enable", into.enable);
    names("disable", into.disable);
    names("mask", into.mask);
}

void read_users(const Node& node, Customization& into)
{
    for (const Node& each : node.elements()) {
        each.allow_only({"name", "ssh_keys"});
        Customization::User user{.name = safe_word(each.at("name"), "-_."), .ssh_keys = {}};
        for (const Node& key : each.at("ssh_keys").elements()) {
            const std::string line = key.text();
            if (line.find('\n') != std::string::npos || split_words(line).size() < 2) {
                key.refuse("not one line of an authorized_keys file");
            }
            user.ssh_keys.push_back(key.text());
        }
        into.users.push_back(std::move(user));
    }
}

void read_reset(const Node& node, Customization& into)
{
    for (const Node& each : node.elements()) {
        const auto what = each.one_of({"machine-id", "ssh-host-keys"});
        (what == "machine-id" ? into.reset_machine_id : into.reset_ssh_host_keys) = true;
    }
}

} // namespace

Customization load_customization(const std::filesystem::path& file)
{
    const Node root = Node::load(file);
    root.allow_only(
        {"version", "hostname", "timezone", "users", "services", "values", "files", "reset"});
    (void)root.at("version").integer_within(1, 1);
    Customization all;
    all.source = file;
    all.sha256 = sha256_file(file.string()).hex();
    if (const auto name = root.find("hostname")) {
        all.hostname = safe_word(*name, ".-");
    }
    if (const auto zone = root.find("timezone")) {
        all.timezone = safe_word(*zone, "/_-+");
    }
    if (const auto users = root.find("users")) {
        read_users(*users, all);
    }
    if (const auto services = root.find("services")) {
        read_services(*services, all);
    }
    std::map<std::string, std::string> values;
    if (const auto given = root.find("values")) {
        for (const auto& [name, value] : given->members()) {
            values.emplace(name, value.text());
        }
    }
    if (const auto files = root.find("files")) {
        for (const Node& each : files->elements()) {
            all.files.push_back(read_file_entry(each, values));
        }
    }
    if (const auto reset = root.find("reset")) {
        read_reset(*reset, all);
    }
    return all;
}

} // namespace stemma::image
