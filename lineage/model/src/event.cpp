#include "stemma/model/event.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

namespace stemma::model {

Json to_json(const Event& event)
{
    return Json{{"at", format_time(event.at)},
                {"body", event.body},
                {"kind", event.kind},
                {"origin", event.origin},
                {"oseq", event.oseq},
                {"schema", event_schema}};
}

namespace {

constexpr std::string_view schema_name = "stemma.event/";

void check_schema(const Json& json)
{
    const std::string schema = string_member(json, "schema");
    if (schema == event_schema) {
        return;
    }
    if (schema.starts_with(schema_name) && is_digits(schema.substr(schema_name.size()))) {
        throw Error(
            ErrorCode::unsupported,
            fmt::format("event of schema '{}': this version reads '{}'", schema, event_schema),
            "use the newer stemma that wrote it");
    }
    throw Error(ErrorCode::corrupt, fmt::format("schema '{}' is not '{}'", schema, event_schema));
}

Time event_time(const Json& json)
{
    try {
        return parse_time(string_member(json, "at"));
    } catch (const Error& error) {
        throw Error(ErrorCode::corrupt, fmt::format("member 'at': {}", error.message()));
    }
}

} // namespace

Event event_from_json(const Json& json)
{
    check_schema(json);
    Event event;
    event.at = event_time(json);
    event.kind = string_member(json, "kind");
    event.origin = string_member(json, "origin");
    const std::int64_t oseq = integer_member(json, "oseq");
    if (oseq < 1) {
        throw Error(ErrorCode::corrupt, fmt::format("member 'oseq' is {}, not 1 or more", oseq));
    }
    event.oseq = static_cast<std::uint64_t>(oseq);
    event.body = member(json, "body");
    if (!event.body.is_object()) {
        throw Error(ErrorCode::corrupt, "member 'body' is not an object");
    }
    if (event.kind.empty() || event.origin.empty() || !is_utf8(event.kind) ||
        !is_utf8(event.origin)) {
        throw Error(ErrorCode::corrupt, "an event needs a kind and an origin, both UTF-8");
    }
    return event;
}

std::string canonical_event(const Event& event)
{
    return canonical_event(event, canonical_json(event.body));
}

std::string canonical_event(const Event& event, std::string_view body)
{
    std::string text;
    text.reserve(body.size() + event.kind.size() + event.origin.size() + 150);
    text += R"({"at":)";
    text += canonical_json(format_time(event.at));
    text += R"(,"body":)";
    text += body;
    text += R"(,"kind":)";
    text += canonical_json(event.kind);
    text += R"(,"origin":)";
    text += canonical_json(event.origin);
    text += fmt::format(R"(,"oseq":{},"schema":)", event.oseq);
    text += canonical_json(event_schema);
    text += "}";
    return text;
}

} // namespace stemma::model
