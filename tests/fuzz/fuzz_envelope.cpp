#include "stemma/core/error.hpp"
#include "stemma/export/dsse.hpp"

#include <cstdlib>

namespace {

/// RFC 8032's first test key: nobody signs with it.
constexpr const char* public_key = "-----BEGIN PUBLIC KEY-----\n"
                                   "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                   "-----END PUBLIC KEY-----\n";

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static const auto key = sodium::PublicKey::from_pem(public_key, "test key");
    try {
        const auto envelope = exporting::envelope_from_json(parse_json(text, "input"));
        // The seeds are signed by other keys: nothing made of them may be accepted.
        if (exporting::is_signed_by(envelope, key)) {
            std::abort();
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
