#pragma once

#include <string_view>

namespace stemma::lineage {

/// Orders version numbers as dpkg does (deb-version(7)): epoch, upstream, revision; "~" before
/// everything. Negative, zero or positive.
int compare_versions(std::string_view a, std::string_view b) noexcept;

} // namespace stemma::lineage
