#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> vm_commands()
{
    return {};
}

} // namespace stemma::cli
