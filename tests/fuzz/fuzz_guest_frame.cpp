#include "stemma/core/error.hpp"
#include "stemma/guest/frame.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma::guest;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    // The same bytes in one piece and byte by byte must give the same frames.
    Decoder whole;
    Decoder trickle;
    std::string first;
    std::string second;
    whole.feed(bytes);
    while (const auto frame = whole.next()) {
        first += encode(*frame);
    }
    for (const char byte : bytes) {
        trickle.feed({&byte, 1});
        while (const auto frame = trickle.next()) {
            second += encode(*frame);
        }
    }
    if (first != second) {
        std::abort();
    }
    return 0;
}
