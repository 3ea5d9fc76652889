#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> host_commands()
{
    return {};
}

} // namespace stemma::cli
