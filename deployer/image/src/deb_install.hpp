#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/ext/editor.hpp"

#include <optional>
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
    std::vector<std::string> unchanged; ///< packages that are there already with the same files
};

/// Judges and orders; changes nothing.
/// scripts_run  dpkg itself will install them: scripts, diversions and overrides are its business
DebPlan plan_debs(DpkgDatabase& database,
                  volume::Filesystem& tree,
                  const std::vector<Deb>& debs,
                  bool scripts_run = false);

/// Packages that would lose a dependency if this one went.
std::vector<std::string> dependents_of(const DpkgDatabase& database, const Stanza& gone);

/// Names of packages in an order in which each goes before what it needs.
std::vector<std::string> removal_order(const DpkgDatabase& database,
                                       const std::vector<std::string>& names);

/// The first dependency of a package that is not configured in the image, as text.
std::optional<std::string> unconfigured_dependency(const DpkgDatabase& database, const Deb& deb);

/// Unpacks one package, configures it when nothing has to run for that, and brings the records in
/// `database` up to date (they are written by write_database()).
/// returns  why the package is left unpacked for the first boot; nullopt: it is configured
std::optional<std::string> unpack_deb(
    ext::Editor& editor, DpkgDatabase& database, const Deb& deb, Time now, const Cancel& cancel);

/// Takes one package out: files, folders that become empty, records. Configuration files go too
/// (dpkg --purge).
/// throws  unsupported: its prerm or postrm would run something unknown; conflict: others need it;
///         not_found
void remove_deb(ext::Editor& editor, DpkgDatabase& database, const std::string& name, Time now);

/// Writes dpkg's status, and leaves what configures the rest at the first boot, or takes it out.
void write_database(ext::Editor& editor, const DpkgDatabase& database, Time now);

} // namespace stemma::image
