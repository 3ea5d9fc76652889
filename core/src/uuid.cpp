#include "stemma/core/uuid.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>

namespace stemma {

namespace {

using Bytes = std::array<char, 16>;

std::string format_uuid(Bytes bytes, unsigned version)
{
    bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0FU) | (version << 4U));
    bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3FU) | 0x80U);
    const auto hex = to_hex({bytes.data(), bytes.size()});
    return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' +
           hex.substr(16, 4) + '-' + hex.substr(20);
}

std::string without_dashes(std::string_view text)
{
    std::string digits;
    for (const char letter : text) {
        if (letter != '-') {
            digits += letter;
        }
    }
    return digits;
}

} // namespace

std::string make_uuid7(Time now)
{
    Bytes bytes{};
    while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        if (errno != EINTR) {
            throw system_error(errno, "get random bytes");
        }
    }
    const auto millis = static_cast<std::uint64_t>(now.time_since_epoch().count() / 1000);
    for (unsigned i = 0; i < 6; ++i) {
        bytes[i] = static_cast<char>(millis >> (40U - 8U * i));
    }
    return format_uuid(bytes, 7);
}

std::string make_uuid5(std::string_view space, std::string_view name)
{
    const auto space_bytes = is_uuid(space) ? from_hex(without_dashes(space)) : std::nullopt;
    if (!space_bytes) {
        throw Error(ErrorCode::usage, fmt::format("'{}' is not a UUID", space));
    }
    const auto hash = from_hex(Sha1().update(*space_bytes).update(name).finish_hex());
    Bytes bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = (*hash)[i];
    }
    return format_uuid(bytes, 5);
}

bool is_uuid(std::string_view text) noexcept
{
    if (text.size() != 36) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : hex_value(text[i]) < 0) {
            return false;
        }
    }
    return true;
}

} // namespace stemma
