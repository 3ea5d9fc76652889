#pragma once

#include "stemma/cli/command.hpp"

#include <vector>

namespace stemma::cli {

Command migrate_command();                   ///< vm migrate
std::vector<Command> moving_host_commands(); ///< host drain, host gc

} // namespace stemma::cli
