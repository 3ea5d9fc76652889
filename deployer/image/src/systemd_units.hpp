#pragma once

#include "stemma/ext/editor.hpp"
#include "stemma/volume/filesystem.hpp"

#include <string>
#include <vector>

/// systemd's units in an image that is not booted: what `systemctl --root` would do.
namespace stemma::image {

struct UnitLink {
    std::string path;   ///< "/etc/systemd/system/multi-user.target.wants/shop.service"
    std::string target; ///< the unit's file
};

/// A unit's file, by systemd's own order of folders; a template's for an instance.
/// throws  not_found: no such unit
std::string unit_file(volume::Filesystem& tree, const std::string& unit);

/// The links by which a unit's [Install] section wants it enabled: WantedBy, RequiredBy, Alias,
/// with DefaultInstance, and those of the units in Also.
std::vector<UnitLink> install_links(volume::Filesystem& tree, const std::string& unit);

/// Whether the image's preset files (systemd.preset(5)) want a unit enabled; without a word of them
/// it is.
bool preset_enables(volume::Filesystem& tree, const std::string& unit);

void put_unit_link(ext::Editor& editor, const UnitLink& link, Time now);

/// What `deb-systemd-helper enable` does at a package's first installation, its notes included.
void enable_like_debian(ext::Editor& editor, const std::string& unit, Time now);

/// What `deb-systemd-helper purge` does: takes the links back that enable made.
void purge_like_debian(ext::Editor& editor, const std::string& unit);

} // namespace stemma::image
