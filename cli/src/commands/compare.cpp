#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> compare_commands()
{
    return {};
}

} // namespace stemma::cli
