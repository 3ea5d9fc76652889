#pragma once

#include "stemma/archive/reader.hpp"
#include "stemma/ext/editor.hpp"

#include <string>

#include "accounts.hpp"

namespace stemma::image {

/// Makes the parent folders of a path that are missing: root's, mode 0755.
void make_parents(ext::Editor& editor, const std::string& path, Time now);

/// Puts one entry of an archive at `path`; content comes from the reader, which stands at it.
/// throws  unsupported: a socket
void put_entry(ext::Editor& editor,
               const Accounts& accounts,
               const archive::Entry& entry,
               const std::string& path,
               archive::Reader& reader);

} // namespace stemma::image
