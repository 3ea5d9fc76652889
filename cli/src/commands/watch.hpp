#pragma once

#include "stemma/cli/command.hpp"

namespace stemma::cli {

Command watch_command();

} // namespace stemma::cli
