#pragma once

#include "stemma/ext/editor.hpp"

#include <string>

#include "deb.hpp"
#include "dpkg_database.hpp"

/// dpkg's triggers, deb-triggers(5).
namespace stemma::image {

/// Notes in the records what a package's files and `activate` lines ask of others: they become
/// triggers-pending, and `stanza` triggers-awaited where it waits for them.
void apply_triggers(DpkgDatabase& database, const Deb& deb, Stanza& stanza);

/// Writes a package's own `interest` lines to dpkg's records.
void register_interests(ext::Editor& editor, const Deb& deb, Time now);

/// Takes a package's interests out again.
void forget_interests(ext::Editor& editor, const std::string& stem, Time now);

} // namespace stemma::image
