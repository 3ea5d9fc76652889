#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/postgres/address.hpp"

#include <cstdlib>

#include "store.hpp"

namespace stemma::lineage {

namespace {

/// Where a user's caches are, as the XDG base directory specification says.
std::filesystem::path caches()
{
    // NOLINTBEGIN(concurrency-mt-unsafe): nothing here changes the environment
    const char* named = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    // NOLINTEND(concurrency-mt-unsafe)
    if (named != nullptr && *named == '/') {
        return named;
    }
    if (home != nullptr && *home == '/') {
        return std::filesystem::path(home) / ".cache";
    }
    throw Error(
        ErrorCode::usage,
        "no place for this machine's copy of the ledger: neither HOME nor XDG_CACHE_HOME is "
        "set",
        "set XDG_CACHE_HOME to a folder that is kept");
}

} // namespace

std::filesystem::path copy_folder(const std::string& url)
{
    constexpr std::size_t digits = 16;
    return caches() / "stemma" / "ledgers" / sha256(postgres::target(url)).hex().substr(0, digits);
}

} // namespace stemma::lineage
