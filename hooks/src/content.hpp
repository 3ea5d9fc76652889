#pragma once

#include "stemma/hooks/journal.hpp"

#include <optional>

namespace stemma::hooks {

/// Reads an open regular file once: digests, what kind of file it is, its build-id.
/// with_blob  also git's blob id: sources need it, objects do not
/// returns    nullopt when it cannot be read or changed meanwhile
std::optional<Content> content_of(int fd, bool with_blob) noexcept;

} // namespace stemma::hooks
