#include "companion.hpp"

#include <unistd.h>

#include "process_info.hpp"

namespace stemma::hooks {

std::string companion_library(const std::string& name)
{
    const auto self = link_of(::getpid(), "exe");
    const auto folder = self.substr(0, self.rfind('/') + 1);
    for (const auto* place : {STEMMA_LIBRARIES_INSTALLED, STEMMA_LIBRARIES_BUILT}) {
        auto path = real_path(std::string(folder).append(place).append("/").append(name));
        if (!path.empty() && path.find_first_of(": \t\n") == std::string::npos) {
            return path;
        }
    }
    return {};
}

} // namespace stemma::hooks
