#pragma once

#include "stemma/ext/editor.hpp"

namespace stemma::image {

/// Leaves in an image what runs `dpkg --configure -a` once, at its first boot, and removes itself
/// when that worked; else it tries again at the next boot. A unit where the image has systemd, a
/// start script where it has sysv-rc, a line of /etc/inittab where it has neither.
void put_first_boot(ext::Editor& editor, Time now);

/// Takes it out again, where nothing is left to configure.
void remove_first_boot(ext::Editor& editor, Time now);

} // namespace stemma::image
