#pragma once

#include "stemma/hooks/journal.hpp"

#include <optional>
#include <string>

namespace stemma::hooks {

/// Reads an open regular file once: digests, what kind of file it is, its build-id.
/// with_blob  also git's blob id: sources need it, objects do not
/// returns    nullopt when it cannot be read or changed meanwhile
std::optional<Content> content_of(int fd, bool with_blob) noexcept;
/// The same for a file by name.
std::optional<Content> read_content(const std::string& path, bool with_blob) noexcept;

} // namespace stemma::hooks
