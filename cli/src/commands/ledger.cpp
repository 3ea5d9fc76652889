#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> ledger_commands()
{
    return {};
}

} // namespace stemma::cli
