#include "disk_tool.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <string>

namespace stemma::image {

void refuse_disk_tool(const CommandResult& result, std::string_view what)
{
    const auto words = printable(trim(result.err));
    const bool full = result.err.find("No space left on device") != std::string::npos;
    const bool locked = result.err.find("lock") != std::string::npos;
    throw Error(locked ? ErrorCode::conflict : ErrorCode::io,
                fmt::format("cannot {}: {}", what, words),
                full     ? "the file system that it goes to is full: free some space, then run "
                           "the same command again"
                : locked ? "a running VM or another change uses this image; stop it first"
                         : "");
}

} // namespace stemma::image
