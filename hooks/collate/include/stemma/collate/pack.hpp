#pragma once

#include "stemma/core/json.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace stemma::hooks {

/// One file in a package.
struct PayloadFile {
    std::string path; ///< where it will be installed, absolute
    std::string sha256;
    std::uint32_t mode = 0;
    std::uint64_t size = 0;
    std::string build_id; ///< may be empty
};

/// A package as it was read: a .deb, a tar (compressed or not), or one plain file.
struct Package {
    std::string file; ///< name of the package file, without folders
    std::string sha256;
    std::string purl;
    std::string name;
    std::string version;
    std::string arch;
    std::vector<PayloadFile> payload;
    std::vector<PayloadFile> scripts; ///< what dpkg runs: preinst, postinst …; and conffiles
};

/// throws  not_found, io; corrupt: a damaged archive
Package read_package(const std::string& path);

/// What the lineage knows of one content.
struct KnownFile {
    std::string sha256;
    bool source = false; ///< went into a build as it is; else a step made it
    std::string path;
    std::string repo;
    std::string build;
};

/// How the lineage is asked; each list oldest first.
struct KnownFiles {
    std::function<std::vector<KnownFile>(const std::vector<std::string>& sha256s)> by_content;
    std::function<std::vector<KnownFile>(const std::string& build_id)> by_build_id;
};

/// The body of a `package.packed` event: each payload file with its link to a build's file, by
/// content, else by build-id, else "unexplained". The build that explains most of the package comes
/// first; ties go to the newest.
Json link_package(const Package& package, const KnownFiles& known);

} // namespace stemma::hooks
