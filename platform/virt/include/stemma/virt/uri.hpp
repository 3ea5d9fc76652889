#pragma once

#include <string>
#include <string_view>

/// libvirt's URIs: driver[+transport]://[user@][host][:port]/[path][?parameters]
namespace stemma::virt {

/// The parts that decide how a daemon is reached; views into the text.
struct UriParts {
    std::string_view driver;     ///< "qemu"
    std::string_view transport;  ///< "unix", "ssh", "tls", "tcp", …; empty when not said
    std::string_view user;       ///< with a password after ":", if one is there
    std::string_view host;       ///< without port and brackets; empty: this machine
    std::string_view path;       ///< "/system"
    std::string_view parameters; ///< after "?"
};
/// A text that is no URI gives an empty driver.
UriParts split_uri(std::string_view uri) noexcept;

/// The URI without a password or user part, fit for a log and for the store.
std::string safe_uri(std::string_view uri);

/// True when the URI means a daemon on this machine (no host part) or the test driver.
bool is_local(std::string_view uri);

/// This machine by name or number, whatever the network says.
bool is_loopback(std::string_view host) noexcept;

/// Refuses what would keep a secret in the store, or trust whoever answers: a password, a transport
/// without encryption to another machine, switched-off checks of keys and certificates.
/// insecure  the user said that the latter two are meant
/// throws    usage, with the way out
void require_safe_uri(std::string_view uri, bool insecure);

/// The URI with which nothing is ever asked on a terminal: an unknown SSH key is refused.
std::string without_questions(const std::string& uri);

} // namespace stemma::virt
