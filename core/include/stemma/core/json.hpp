#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

// Compiled once, in json.cpp: each source would spend a second on it.
extern template class nlohmann::basic_json<>;

namespace stemma {

/// Objects keep their keys sorted, so that dump() of equal values is equal text.
using Json = nlohmann::json;

/// Parses untrusted text. Refuses duplicate keys and nesting deeper than 64.
/// throws  corrupt: "<name>: line L, column C: …"
Json parse_json(std::string_view text, std::string_view name);

/// One line, keys sorted, no spaces; the bytes that are hashed. Strings must be UTF-8: use
/// json_text() for those that may not be.
std::string canonical_json(const Json& value);

/// A text that may not be UTF-8: the string itself, else {"b64": "…"}.
Json json_text(std::string_view bytes);
/// The other way; throws corrupt: neither form.
std::string text_of(const Json& value, std::string_view name);

/// Typed look-ups that name the member when it is missing or of another type.
/// throws  corrupt
const Json& member(const Json& object, std::string_view key);
std::string string_member(const Json& object, std::string_view key);
std::int64_t integer_member(const Json& object, std::string_view key);
bool bool_member(const Json& object, std::string_view key);
const Json& array_member(const Json& object, std::string_view key);
/// Missing or null gives nullopt; another type throws.
std::optional<std::string> optional_string_member(const Json& object, std::string_view key);

/// null for nullopt.
Json json_or_null(const std::optional<std::string>& text);

} // namespace stemma
