#pragma once

#include "stemma/archive/reader.hpp"
#include "stemma/image/debian.hpp"

#include <map>
#include <string>
#include <vector>

namespace stemma::image {

/// A Debian package file as far as it can be known without running anything of it.
struct Deb {
    std::string path;   ///< on this machine
    std::string sha256; ///< hexadecimal
    Stanza control;
    std::vector<std::string> conffiles;           ///< absolute paths
    std::map<std::string, std::string> members{}; ///< other files of control.tar: "postinst", …
    std::vector<archive::Entry> entries;          ///< of data.tar; paths absolute, "/" for the root

    [[nodiscard]] std::string name() const { return control.get("Package"); }
    [[nodiscard]] std::string version() const { return control.get("Version"); }
    [[nodiscard]] std::string arch() const { return control.get("Architecture"); }
    [[nodiscard]] bool has_script(const std::string& script) const
    {
        return members.count(script) != 0;
    }
    /// "libfoo:amd64" where dpkg names its files so (Multi-Arch: same), else "foo".
    [[nodiscard]] std::string file_stem() const;
    /// Bytes of all files together.
    [[nodiscard]] std::uint64_t content_size() const;
};

/// Reads a package: its control part and the headers of its files.
/// throws  corrupt: not a package, a name that leads out of the tree ("..") or is absolute in a
///         way that tar would strip; unsupported: unreasonably large
Deb read_deb(const std::string& path);

/// "pkg:deb/debian/zlib1g@1:1.2.13?arch=amd64", percent-encoded as the specification asks.
std::string deb_purl(const std::string& vendor,
                     const std::string& name,
                     const std::string& version,
                     const std::string& arch);

} // namespace stemma::image
