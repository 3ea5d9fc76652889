#include "stemma/core/error.hpp"
#include "stemma/model/event.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const auto event = model::event_from_json(parse_json(text, "input"));
        const auto printed = model::canonical_event(event);
        if (model::event_from_json(parse_json(printed, "again")) != event) {
            std::abort(); // the ledger hashes what is printed: it must be the same event
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
