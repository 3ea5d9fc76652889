#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> release_commands()
{
    return {};
}

} // namespace stemma::cli
