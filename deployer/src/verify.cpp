#include "stemma/deployer/verify.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_shown = 200;

std::string shown(std::string_view bytes)
{
    auto text = printable(bytes.substr(0, max_shown));
    return bytes.size() > max_shown ? text + " …" : text;
}

/// A failure of the asking itself is an answer: not ok.
template <typename Ask>
CheckResult asked(CheckResult result, Ask&& ask)
{
    try {
        ask(result);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        result.ok = false;
        result.actual = error.one_line();
    }
    return result;
}

CheckResult check_tcp(const TcpCheck& check, GuestPort& guest)
{
    CheckResult start{.name = fmt::format("tcp {}", check.port),
                      .ok = false,
                      .expected = check.expect.empty() ? "accepts" : shown(check.expect),
                      .actual = {}};
    return asked(start, [&](CheckResult& result) {
        const auto answer = guest.tcp({.address = check.address,
                                       .port = check.port,
                                       .send = check.send,
                                       .until = check.expect,
                                       .patience = 5s});
        result.ok = answer.find(check.expect) != std::string::npos;
        result.actual = check.expect.empty() ? "accepts" : shown(answer);
    });
}

/// "200" of "HTTP/1.1 200 OK"; 0 when it is no answer of HTTP.
int http_status(std::string_view answer)
{
    const auto line = answer.substr(0, answer.find('\r'));
    const auto words = split_words(line);
    if (words.size() < 2 || !words[0].starts_with("HTTP/1.")) {
        return 0;
    }
    return static_cast<int>(parse_unsigned(words[1]).value_or(0));
}

CheckResult check_http(const HttpCheck& check, GuestPort& guest)
{
    CheckResult start{.name = fmt::format("http {}{}", check.port, check.path),
                      .ok = false,
                      .expected = fmt::format("status {}", check.status),
                      .actual = {}};
    if (!check.expect.empty()) {
        start.expected += " and " + shown(check.expect);
    }
    return asked(start, [&](CheckResult& result) {
        const auto answer = guest.tcp(
            {.address = check.address,
             .port = check.port,
             .send = fmt::format("GET {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n",
                                 check.path,
                                 check.host.empty() ? check.address : check.host),
             .until = check.expect.empty() ? "\r\n" : "", // the body ends with the connection
             .patience = 5s});
        const auto status = http_status(answer);
        const auto head = answer.find("\r\n\r\n");
        const auto body = head == std::string::npos ? std::string_view()
                                                    : std::string_view(answer).substr(head + 4);
        result.ok = status == check.status && body.find(check.expect) != std::string_view::npos;
        result.actual = status == 0 ? "no answer of HTTP" : fmt::format("status {}", status);
        if (!check.expect.empty()) {
            result.actual += " and " + shown(trim(body));
        }
    });
}

CheckResult check_command(const CommandCheck& check, GuestPort& guest)
{
    CheckResult start{.name = "command " + shell_join(check.argv),
                      .ok = false,
                      .expected = fmt::format("exit {}", check.exit),
                      .actual = {}};
    if (!check.expect.empty()) {
        start.expected += " and " + shown(check.expect);
    }
    return asked(start, [&](CheckResult& result) {
        std::string out;
        const auto exit = guest.exec(check.argv, 30s, [&](bool is_error, std::string_view bytes) {
            if (!is_error && out.size() < (std::size_t{1} << 20U)) {
                out += bytes;
            }
        });
        result.ok = !exit.timed_out && exit.signal == 0 && exit.code == check.exit &&
                    out.find(check.expect) != std::string::npos;
        result.actual = exit.timed_out ? "no end in 30 s" : fmt::format("exit {}", exit.code);
        if (!check.expect.empty()) {
            result.actual += " and " + shown(trim(out));
        }
    });
}

} // namespace

Json to_json(const std::vector<CheckResult>& checks)
{
    Json array = Json::array();
    for (const auto& check : checks) {
        array.push_back({{"actual", json_text(check.actual)},
                         {"expected", json_text(check.expected)},
                         {"name", json_text(check.name)},
                         {"ok", check.ok}});
    }
    return array;
}

GuestVerifier::GuestVerifier(Verification wanted, ExpectedContent expected)
    : wanted_(std::move(wanted)), expected_(std::move(expected))
{
}

CheckResult
GuestVerifier::check_file(const FileCheck& check, const VmSpec& vm, GuestPort& guest) const
{
    CheckResult start{
        .name = "file " + check.path, .ok = false, .expected = check.sha256, .actual = {}};
    return asked(start, [&](CheckResult& result) {
        if (result.expected.empty() && expected_) {
            result.expected = expected_(vm.image, check.path).value_or("");
        }
        result.actual = guest.digest(check.path).sha256;
        if (result.expected.empty()) {
            result.expected = "unknown: no package of this image has this file in the lineage";
        } else {
            result.ok = result.actual == result.expected;
        }
    });
}

std::vector<CheckResult> GuestVerifier::verify(const VmSpec& vm, GuestPort& guest)
{
    std::vector<CheckResult> results;
    results.push_back(
        asked({.name = "boot", .ok = false, .expected = "helper answers", .actual = {}},
              [&](CheckResult& result) {
                  result.actual = "boot " + printable(guest.info().value("boot_id", ""));
                  result.ok = true;
              }));
    for (const auto& check : wanted_.files) {
        results.push_back(check_file(check, vm, guest));
    }
    for (const auto& check : wanted_.tcp) {
        results.push_back(check_tcp(check, guest));
    }
    for (const auto& check : wanted_.http) {
        results.push_back(check_http(check, guest));
    }
    for (const auto& check : wanted_.commands) {
        results.push_back(check_command(check, guest));
    }
    return results;
}

} // namespace stemma::deployer
