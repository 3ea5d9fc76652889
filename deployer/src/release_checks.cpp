// `verify` of a release file, and its form in the record of what was applied.

#include "stemma/core/error.hpp"

#include <algorithm>

#include "release_parts.hpp"

namespace stemma::deployer {

namespace {

using config::Node;

/// Fit to stand in the head of a request as it is.
bool is_request_word(std::string_view text)
{
    return !text.empty() &&
           std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7f; });
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
    check.port = static_cast<std::uint16_t>(number_of(node.at("port"), 1, 65535));
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

HttpCheck http_check_of(const Node& node)
{
    node.allow_only({"address", "port", "path", "host", "status", "expect"});
    HttpCheck check;
    if (const auto address = node.find("address")) {
        check.address = address->text();
    }
    if (const auto port = node.find("port")) {
        check.port = static_cast<std::uint16_t>(number_of(*port, 1, 65535));
    }
    if (const auto path = node.find("path")) {
        check.path = path->text();
        if (!is_request_word(check.path) || !check.path.starts_with('/')) {
            path->refuse("not the path of an HTTP request", "it begins with / and has no blanks");
        }
    }
    if (const auto host = node.find("host")) {
        check.host = host->text();
        if (!is_request_word(check.host)) {
            host->refuse("not the name of an HTTP host");
        }
    }
    if (const auto status = node.find("status")) {
        check.status = static_cast<int>(number_of(*status, 100, 599));
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

CompareCheck compare_check_of(const Node& node)
{
    CompareCheck check;
    if (node.is_scalar()) {
        if (!node.boolean()) {
            node.refuse("leave `compare` out instead");
        }
        return check;
    }
    node.allow_only({"allowed", "ignore"});
    if (const auto allowed = node.find("allowed")) {
        check.allowed = static_cast<unsigned>(number_of(*allowed, 0, 100000));
    }
    if (const auto ignore = node.find("ignore")) {
        check.ignore = ignore->texts();
    }
    return check;
}

} // namespace

Verification verification_of(const Node& root)
{
    Verification verify;
    const auto node = root.find("verify");
    if (!node) {
        return verify;
    }
    node->allow_only({"files", "tcp", "http", "commands", "compare"});
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
    if (const auto http = node->find("http")) {
        for (const auto& element : http->elements()) {
            verify.http.push_back(http_check_of(element));
        }
    }
    if (const auto commands = node->find("commands")) {
        for (const auto& element : commands->elements()) {
            verify.commands.push_back(command_check_of(element));
        }
    }
    if (const auto compare = node->find("compare")) {
        verify.compare = compare_check_of(*compare);
    }
    return verify;
}

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
    Json http = Json::array();
    for (const auto& check : verify.http) {
        http.push_back({{"address", check.address},
                        {"port", check.port},
                        {"path", check.path},
                        {"host", check.host},
                        {"status", check.status},
                        {"expect", json_text(check.expect)}});
    }
    Json commands = Json::array();
    for (const auto& check : verify.commands) {
        commands.push_back(
            {{"argv", check.argv}, {"exit", check.exit}, {"expect", json_text(check.expect)}});
    }
    Json json = {{"files", files}, {"tcp", tcp}, {"commands", commands}};
    if (!http.empty()) { // what was proven before there were such checks stays proven
        json["http"] = std::move(http);
    }
    if (verify.compare) {
        Json ignore = Json::array();
        for (const auto& pattern : verify.compare->ignore) {
            ignore.push_back(json_text(pattern));
        }
        json["compare"] = {{"allowed", verify.compare->allowed}, {"ignore", ignore}};
    }
    return json;
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
    for (const auto& check : json.value("http", Json::array())) {
        verify.http.push_back({.address = string_member(check, "address"),
                               .port = static_cast<std::uint16_t>(integer_member(check, "port")),
                               .path = string_member(check, "path"),
                               .host = string_member(check, "host"),
                               .status = static_cast<int>(integer_member(check, "status")),
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
    if (const auto compare = json.find("compare"); compare != json.end()) {
        CompareCheck check;
        check.allowed = static_cast<unsigned>(integer_member(*compare, "allowed"));
        for (const auto& pattern : array_member(*compare, "ignore")) {
            check.ignore.push_back(text_of(pattern, "ignore"));
        }
        verify.compare = std::move(check);
    }
    return verify;
}

} // namespace stemma::deployer
