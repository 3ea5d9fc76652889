#include "stemma/core/json.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <set>

template class nlohmann::basic_json<>;

namespace stemma {

namespace {

constexpr int deepest = 64;

struct Position {
    std::size_t line = 1;
    std::size_t column = 1;
};

Position position_of(std::string_view text, std::size_t offset)
{
    Position position;
    for (std::size_t i = 0; i < std::min(offset, text.size()); ++i) {
        if (text[i] == '\n') {
            ++position.line;
            position.column = 1;
        } else {
            ++position.column;
        }
    }
    return position;
}

Error missing(std::string_view key, std::string_view wanted)
{
    return {ErrorCode::corrupt, fmt::format("member '{}' is missing or not {}", key, wanted)};
}

} // namespace

Json parse_json(std::string_view text, std::string_view name)
{
    std::vector<std::set<std::string>> keys;
    std::string refusal;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (depth > deepest) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: nested deeper than {} levels", name, deepest));
        }
        if (event == Json::parse_event_t::object_start) {
            keys.emplace_back();
        } else if (event == Json::parse_event_t::object_end) {
            keys.pop_back();
        } else if (event == Json::parse_event_t::key && !keys.empty()) {
            const auto key = parsed.get<std::string>();
            if (!keys.back().insert(key).second) {
                throw Error(ErrorCode::corrupt, fmt::format("{}: key '{}' twice", name, key));
            }
        }
        return true;
    };
    if (const auto zero = text.find('\0'); zero != std::string_view::npos) {
        // The library takes a zero byte for the end and would not look at what follows.
        const auto at = position_of(text, zero);
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: line {}, column {}: a zero byte", name, at.line, at.column));
    }
    try {
        return Json::parse(text.begin(), text.end(), watch);
    } catch (const Json::parse_error& failure) {
        const auto at = position_of(text, failure.byte == 0 ? 0 : failure.byte - 1);
        throw Error(
            ErrorCode::corrupt,
            fmt::format("{}: line {}, column {}: not valid JSON", name, at.line, at.column));
    } catch (const Json::exception& failure) {
        throw Error(ErrorCode::corrupt, fmt::format("{}: {}", name, failure.what()));
    }
}

std::string canonical_json(const Json& value)
{
    return value.dump(-1, ' ', false, Json::error_handler_t::strict);
}

Json json_text(std::string_view bytes)
{
    if (is_utf8(bytes)) {
        return bytes;
    }
    return Json{{"b64", to_base64(bytes)}};
}

std::string text_of(const Json& value, std::string_view name)
{
    if (value.is_string()) {
        return value.get<std::string>();
    }
    if (value.is_object() && value.size() == 1 && value.contains("b64") &&
        value["b64"].is_string()) {
        if (auto bytes = from_base64(value["b64"].get_ref<const std::string&>())) {
            return *std::move(bytes);
        }
    }
    throw Error(ErrorCode::corrupt, fmt::format("member '{}' is not a text", name));
}

const Json& member(const Json& object, std::string_view key)
{
    if (object.is_object()) {
        const auto found = object.find(key);
        if (found != object.end()) {
            return *found;
        }
    }
    throw Error(ErrorCode::corrupt, fmt::format("member '{}' is missing", key));
}

std::string string_member(const Json& object, std::string_view key)
{
    return text_of(member(object, key), key);
}

std::int64_t integer_member(const Json& object, std::string_view key)
{
    const auto& value = member(object, key);
    if (!value.is_number_integer()) {
        throw missing(key, "a whole number");
    }
    return value.get<std::int64_t>();
}

bool bool_member(const Json& object, std::string_view key)
{
    const auto& value = member(object, key);
    if (!value.is_boolean()) {
        throw missing(key, "true or false");
    }
    return value.get<bool>();
}

const Json& array_member(const Json& object, std::string_view key)
{
    const auto& value = member(object, key);
    if (!value.is_array()) {
        throw missing(key, "a list");
    }
    return value;
}

std::optional<std::string> optional_string_member(const Json& object, std::string_view key)
{
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end() || found->is_null()) {
        return std::nullopt;
    }
    return text_of(*found, key);
}

Json json_or_null(const std::optional<std::string>& text)
{
    return text ? json_text(*text) : Json(nullptr);
}

} // namespace stemma
