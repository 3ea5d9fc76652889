#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sink.hpp"

namespace stemma::analyzer {

struct RpmPackage {
    std::string name;
    std::string version; ///< [epoch:]version-release
    std::string arch;
    std::string source; ///< where it has another name
};

/// One header as rpm's database holds it: the number of index entries and of bytes (big-endian
/// 32 bits), the entries (tag, type, offset, count), the bytes. Untrusted; nullopt when it is not
/// one. Source: rpm's docs/manual/format_header.md.
std::optional<RpmPackage> read_rpm_header(std::string_view blob);

/// rpmdb.sqlite, which rpm 4.16 and newer write (RHEL 9, Fedora 33), with what the log beside it
/// holds. Read in memory: a process in a jail opens no file.
/// throws  corrupt, unsupported: not such a database
std::vector<RpmPackage>
read_rpm_database(const Source& source, const std::string& path, Sink& sink);

} // namespace stemma::analyzer
