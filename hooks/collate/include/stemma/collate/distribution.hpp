#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stemma::hooks {

/// A part of a package URL: everything but letters, digits and ".-_~" as %XX.
std::string percent_encoded(std::string_view text);
/// The other way; what is no %XX stays as it is.
std::string percent_decoded(std::string_view text);

/// "pkg:deb/debian/shop@1.0?arch=amd64" with this system's vendor (ID of os-release).
std::string
debian_purl(const std::string& name, const std::string& version, const std::string& arch);

/// Which distribution package owns a file, from dpkg's own lists; without dpkg nothing is known.
class Distribution {
public:
    /// root  "/" or another system's root folder
    explicit Distribution(std::string root = "/");

    /// Package URLs ("pkg:deb/debian/gcc-12@12.2.0-14?arch=amd64") of those paths that have one.
    /// Paths are absolute and without links; /usr-merged aliases (/bin for /usr/bin) are
    /// understood. cost  reads every list once, about 40 ms for 1,000 packages
    std::unordered_map<std::string, std::string>
    owners(const std::vector<std::string>& paths) const;

private:
    std::string root_;
};

} // namespace stemma::hooks
