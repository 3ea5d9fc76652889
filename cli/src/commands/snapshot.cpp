#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> snapshot_commands()
{
    return {};
}

} // namespace stemma::cli
