#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> build_commands()
{
    return {};
}

} // namespace stemma::cli
