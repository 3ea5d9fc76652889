#pragma once

#include "stemma/ext/editor.hpp"
#include "stemma/image/debian.hpp"

#include <optional>
#include <string>

#include "deb.hpp"
#include "maintainer_script.hpp"

/// What dpkg would run around a package, judged instead (maintainer_script.hpp).
namespace stemma::image {

/// preinst of the new version, prerm and postrm of the one that is there.
/// old      the record of the version that is there; nullptr: none
/// returns  why it cannot be done without running something; nullopt: nothing happens in them
std::optional<std::string>
reason_against_unpacking(volume::Filesystem& tree, const Deb& deb, const Stanza* old);

/// postinst, with the package's files in place. A package with a debconf `config` asks questions
/// and is not judged.
ScriptJudgement judge_configuring(volume::Filesystem& tree, const Deb& deb, const Stanza* old);

/// prerm and postrm for a removal with its configuration.
ScriptJudgement judge_removing(volume::Filesystem& tree, const std::string& stem);

void apply_effects(ext::Editor& editor, const ScriptEffects& effects, Time now);

} // namespace stemma::image
