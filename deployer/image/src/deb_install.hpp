#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/ext/editor.hpp"

#include <string>
#include <vector>

#include "deb.hpp"
#include "dpkg_database.hpp"

/// Debian packages into a file system, mode "extract": no code of the package or the image runs.
namespace stemma::image {

/// What dpkg --install would say, for all packages together.
struct DebPlan {
    std::vector<const Deb*> order;      ///< dependencies first
    std::vector<std::string> problems;  ///< why not; empty: it can be done
    std::vector<std::string> notes;     ///< what a person should know: left for the first boot, …
    std::vector<std::string> unchanged; ///< packages that are there already with the same files
};

/// Judges and orders; changes nothing.
DebPlan plan_debs(DpkgDatabase& database, volume::Filesystem& tree, const std::vector<Deb>& debs);

/// Packages that would lose a dependency if this one went.
std::vector<std::string> dependents_of(const DpkgDatabase& database, const Stanza& gone);

/// Unpacks one package and brings the records in `database` up to date (they are written by
/// write_database()).
void unpack_deb(
    ext::Editor& editor, DpkgDatabase& database, const Deb& deb, Time now, const Cancel& cancel);

/// Takes one package out: files, folders that become empty, records. Configuration files go too
/// (dpkg --purge).
/// throws  unsupported: it has a prerm or postrm script; conflict: others need it; not_found
void remove_deb(ext::Editor& editor, DpkgDatabase& database, const std::string& name, Time now);

void write_database(ext::Editor& editor, const DpkgDatabase& database, Time now);

} // namespace stemma::image
