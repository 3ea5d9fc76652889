#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> manifest_commands()
{
    return {};
}

} // namespace stemma::cli
