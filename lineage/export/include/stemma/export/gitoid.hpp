#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/model/manifest.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace stemma::exporting {

/// Identities of one content that a manifest does not hold, because they are no function of its
/// SHA-256: they take a second read of the content.
struct ContentNames {
    Digest gitoid;    ///< SHA-256 of "blob <size>\0" and the content: git's SHA-256 object id
    std::string sha1; ///< of the content alone; what SPDX asks for
};

/// By the content's SHA-256. A function of the content, so it does not matter who filled it in.
using ContentTable = std::map<Digest, ContentNames>;

/// What `git hash-object` prints in a repository of the object format sha256.
Digest gitoid_of(std::string_view content) noexcept;
/// "gitoid:blob:sha256:<64 digits>".
std::string gitoid_uri(const Digest& gitoid);

/// Both names of an open regular file's content, in one read, when it is (still) the content that
/// `expected` says; nullopt when it is another one or cannot be read whole.
std::optional<ContentNames> name_content(int fd, const Digest& expected);

} // namespace stemma::exporting
