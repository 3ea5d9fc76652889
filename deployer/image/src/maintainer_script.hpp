#pragma once

#include "stemma/volume/filesystem.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Maintainer scripts of Debian packages, read instead of run.
namespace stemma::image {

/// What a script does to an image, as far as it can be said without running anything.
struct ScriptEffects {
    std::vector<std::string> enabled; ///< units that `deb-systemd-helper enable` was called for
    std::vector<std::string> purged;  ///< … `deb-systemd-helper purge`
};

struct ScriptJudgement {
    std::optional<ScriptEffects> effects; ///< nullopt: something would run that is not known here
    std::string unknown;                  ///< the first such statement, else empty
};

/// Follows a shell script with given arguments ("configure", "") through its conditions, as it
/// would run in an image that is not booted. Known are what debhelper generates for systemd units,
/// tests of the arguments and of files in the image, and statements that do nothing; every other
/// command that is reached ends the judgement. Branches that are not taken may hold anything.
///
/// tree  the image with the package's files in it
ScriptJudgement judge_script(volume::Filesystem& tree,
                             std::string_view script,
                             const std::vector<std::string>& arguments);

} // namespace stemma::image
