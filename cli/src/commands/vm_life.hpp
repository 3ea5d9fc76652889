#pragma once

#include "stemma/cli/command.hpp"

namespace stemma::cli {

Command vm_adopt_command();
Command vm_retire_command();

} // namespace stemma::cli
