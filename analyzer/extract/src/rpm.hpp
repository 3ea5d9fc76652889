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

/// rpmdb.sqlite, which rpm 4.16 and newer write (RHEL 9, Fedora 33).
/// throws  corrupt, unsupported: not such a database
std::vector<RpmPackage> read_rpm_database(const std::string& file, Sink& sink);
/// The same from a tree: a copy is read, with the write-ahead log beside it.
std::vector<RpmPackage>
copy_and_read_rpm_database(const Source& source, const std::string& path, Sink& sink);

} // namespace stemma::analyzer
