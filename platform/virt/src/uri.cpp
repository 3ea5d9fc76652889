#include "stemma/virt/uri.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

namespace stemma::virt {

namespace {

/// Parameters that switch off the check of who answers. Their other values are harmless or make it
/// stricter.
bool trusts_anybody(std::string_view parameter) noexcept
{
    return parameter == "no_verify=1" || parameter == "no_sanity=1" ||
           parameter == "known_hosts_verify=ignore" || parameter == "known_hosts_verify=auto";
}

bool runs_ssh(std::string_view transport) noexcept
{
    return transport == "ssh" || transport == "libssh" || transport == "libssh2";
}

/// Cuts what comes before `mark` off `text`; all of it when there is no mark.
std::string_view cut(std::string_view& text, std::string_view mark) noexcept
{
    const auto at = text.find(mark);
    const auto before = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + mark.size());
    return before;
}

std::string_view host_of(std::string_view authority) noexcept
{
    if (authority.starts_with('[')) { // IPv6
        return authority.substr(1, authority.find(']') - 1);
    }
    return authority.substr(0, authority.find(':'));
}

} // namespace

UriParts split_uri(std::string_view uri) noexcept
{
    UriParts parts;
    if (uri.find("://") == std::string_view::npos) {
        return parts;
    }
    auto rest = uri;
    auto scheme = cut(rest, "://");
    parts.driver = cut(scheme, "+");
    parts.transport = scheme;
    parts.path = cut(rest, "?");
    parts.parameters = rest;
    auto authority = parts.path.substr(0, parts.path.find('/'));
    parts.path.remove_prefix(authority.size());
    if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
        parts.user = authority.substr(0, at);
        authority.remove_prefix(at + 1);
    }
    parts.host = host_of(authority);
    return parts;
}

std::string safe_uri(std::string_view uri)
{
    const auto scheme = uri.find("://");
    const auto user = split_uri(uri).user;
    if (user.find(':') == std::string_view::npos) {
        return std::string(uri);
    }
    const auto begin = scheme + 3;
    return fmt::format("{}{}{}",
                       uri.substr(0, begin),
                       user.substr(0, user.find(':')),
                       uri.substr(begin + user.size()));
}

bool is_local(std::string_view uri)
{
    const auto parts = split_uri(uri);
    return !parts.driver.empty() && parts.host.empty() && !parts.path.empty() &&
           !runs_ssh(parts.transport);
}

bool is_loopback(std::string_view host) noexcept
{
    return host == "localhost" || host == "::1" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos);
}

void require_safe_uri(std::string_view uri, bool insecure)
{
    const auto parts = split_uri(uri);
    if (safe_uri(uri) != uri) {
        throw Error(ErrorCode::usage,
                    "a password in a URI would be kept in the store",
                    "use a key file (?keyfile=) or certificates (?pkipath=)");
    }
    static constexpr std::array transports{"", "unix", "ssh", "libssh", "libssh2", "tls", "tcp"};
    if (std::ranges::find(transports, parts.transport) == transports.end()) {
        throw Error(ErrorCode::usage,
                    fmt::format("\"{}\" is no transport that hosts are managed over",
                                printable(parts.transport)),
                    "use unix, ssh, tls, or tcp to this machine");
    }
    if (insecure) {
        return;
    }
    if (parts.transport == "tcp" && !is_loopback(parts.host)) {
        throw Error(ErrorCode::usage,
                    fmt::format("anybody on the way can read and change what goes over {}+tcp",
                                parts.driver),
                    "use qemu+tls:// or qemu+ssh://, or say --insecure");
    }
    for (const auto parameter : split(parts.parameters, '&')) {
        if (trusts_anybody(parameter)) {
            throw Error(ErrorCode::usage,
                        std::string(parameter) + " accepts any machine as this host",
                        "make the host's key or certificate known, or say --insecure");
        }
    }
}

std::string without_questions(const std::string& uri)
{
    const auto parts = split_uri(uri);
    if (!runs_ssh(parts.transport) || parts.parameters.find("no_tty=") != std::string_view::npos) {
        return uri;
    }
    const bool has_parameters = uri.find('?') != std::string::npos;
    return uri + (has_parameters ? "&no_tty=1" : "?no_tty=1");
}

} // namespace stemma::virt
