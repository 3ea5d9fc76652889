#include "stemma/core/error.hpp"
#include "stemma/model/manifest.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        auto manifest = model::parse_manifest(text, "input");
        model::normalise(manifest);
        const auto printed = canonical_json(model::to_json(manifest));
        const auto again = model::parse_manifest(printed, "again");
        if (canonical_json(model::to_json(again)) != printed) {
            std::abort(); // what is printed must read back as itself
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
