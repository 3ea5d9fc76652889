#pragma once

#include "stemma/hooks/journal.hpp"

namespace stemma::hooks {

/// What a launcher's command line asks for:
///
///     stemma-hook step [--journal=F] [--target=T] [--type=T] [--language=L] [--output=O]
///                      [--role=compile|link|custom] -- TOOL ARGUMENT…
struct LauncherCall {
    Tag tag;
    std::string journal;
    std::size_t tool = 0; ///< index of TOOL in argv
};

/// nullopt when argv is no such call.
std::optional<LauncherCall> launcher_call(const std::vector<std::string>& argv);

/// The tag of a program start when it is a launcher's.
std::optional<Tag> tag_of(const std::vector<std::string>& argv);

} // namespace stemma::hooks
