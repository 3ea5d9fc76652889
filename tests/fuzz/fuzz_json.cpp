#include "stemma/core/error.hpp"
#include "stemma/core/json.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const auto json = stemma::parse_json(text, "input");
        const auto canonical = stemma::canonical_json(json);
        if (stemma::canonical_json(stemma::parse_json(canonical, "again")) != canonical) {
            std::abort(); // canonical text must be a fixed point
        }
    } catch (const stemma::Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
