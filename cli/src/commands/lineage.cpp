#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> lineage_commands()
{
    return {};
}

} // namespace stemma::cli
