#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> pack_commands()
{
    return {};
}

} // namespace stemma::cli
