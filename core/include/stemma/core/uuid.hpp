#pragma once

#include "stemma/core/clock.hpp"

#include <string>
#include <string_view>

namespace stemma {

/// A new time-ordered UUID (RFC 9562, version 7): 48 bits of milliseconds, the rest random.
std::string make_uuid7(Time now);
/// The name-based UUID (version 5) of `name` within `space`, itself a UUID text.
/// throws  usage: `space` is not a UUID
std::string make_uuid5(std::string_view space, std::string_view name);
/// 8-4-4-4-12 hexadecimal digits.
bool is_uuid(std::string_view text) noexcept;

/// The UUIDv5 name space of everything that Stemma names.
inline constexpr std::string_view stemma_uuid_space = "6a8a6f70-6d9e-5c3b-9f0e-57e44a5e3a01";

} // namespace stemma
