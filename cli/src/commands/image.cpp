#include "groups.hpp"

namespace stemma::cli {

std::vector<Command> image_commands()
{
    return {};
}

} // namespace stemma::cli
