#include "stemma/core/error.hpp"
#include "stemma/export/import.hpp"
#include "stemma/model/manifest.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const auto imported = exporting::import_document(text, "input", Time{});
        if (!imported) {
            return 0;
        }
        // Whatever was taken over must be an event that the ledger can hash and derive from.
        for (const auto& event : exporting::as_events(*imported, text)) {
            model::canonical_event(event);
            if (event.kind == "build.recorded") {
                model::manifest_from_json(member(event.body, "manifest"));
            } else if (!Digest::from_hex(string_member(event.body, "sha256"))) {
                std::abort();
            }
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
