#include "stemma/export/import.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/export/dsse.hpp"

#include <iterator>

#include "import_parts.hpp"

namespace stemma::exporting {

namespace {

bool says(const Json& json, std::string_view key, std::string_view start)
{
    const auto found = json.find(key);
    return found != json.end() && found->is_string() &&
           found->get_ref<const std::string&>().starts_with(start);
}

void append(Imported& all, Imported&& one)
{
    all.format = one.format;
    std::move(one.drafts.begin(), one.drafts.end(), std::back_inserter(all.drafts));
    std::move(one.notes.begin(), one.notes.end(), std::back_inserter(all.notes));
}

/// A bundle of Sigstore holds the envelope beside what proves its signature.
const Json* bundled_envelope(const Json& json)
{
    const auto found = json.is_object() ? json.find("dsseEnvelope") : json.end();
    return json.is_object() && found != json.end() && looks_like_envelope(*found) ? &*found
                                                                                  : nullptr;
}

/// The statement within an envelope; anything else as it is.
Json opened(Json json, std::string_view name)
{
    if (const auto* inner = bundled_envelope(json)) {
        json = Json(*inner);
    }
    if (!looks_like_envelope(json)) {
        return json;
    }
    const auto envelope = envelope_from_json(json);
    if (envelope.payload_type != intoto_payload_type) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: the envelope holds '{}', not an in-toto statement",
                                printable(name),
                                printable(envelope.payload_type)));
    }
    return parse_json(envelope.payload, fmt::format("{} (payload)", name));
}

Imported import_one(Json json, std::string_view name, Time at)
{
    json = opened(std::move(json), name);
    const auto format = importable_format(json);
    if (format == "slsa") {
        return import_statement(json, at);
    }
    if (format == "spdx") {
        return import_spdx(json, at);
    }
    if (format == "cyclonedx") {
        return import_cyclonedx(json, at);
    }
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: neither a statement nor an SBOM", printable(name)));
}

/// True for several JSON values, one per line, as a bundle has them.
bool is_bundle(std::string_view text)
{
    const auto lines = split_lines(text);
    std::size_t objects = 0;
    for (const auto line : lines) {
        const auto body = trim(line);
        if (!body.empty() && (body.front() != '{' || body.back() != '}')) {
            return false;
        }
        objects += body.empty() ? 0U : 1U;
    }
    return objects > 1;
}

} // namespace

std::optional<std::string> importable_format(const Json& json)
{
    if (!json.is_object()) {
        return std::nullopt;
    }
    if (looks_like_envelope(json) || bundled_envelope(json) != nullptr ||
        says(json, "_type", "https://in-toto.io/Statement/")) {
        return "slsa";
    }
    if (says(json, "spdxVersion", "SPDX-2.")) {
        return "spdx";
    }
    if (says(json, "bomFormat", "CycloneDX")) {
        return "cyclonedx";
    }
    return std::nullopt;
}

std::optional<Imported> import_document(std::string_view text, std::string_view name, Time at)
{
    Imported all;
    if (is_bundle(text)) {
        std::size_t number = 0;
        for (const auto line : split_lines(text)) {
            ++number;
            if (trim(line).empty()) {
                continue;
            }
            const auto place = fmt::format("{}:{}", name, number);
            auto json = parse_json(line, place);
            if (importable_format(json) != "slsa") {
                return std::nullopt; // other records, one per line: not ours
            }
            append(all, import_one(std::move(json), place, at));
        }
        return all;
    }
    auto json = parse_json(text, name);
    if (!importable_format(json)) {
        return std::nullopt;
    }
    return doing(
        [&] { return import_one(std::move(json), name, at); }, "importing {}", printable(name));
}

std::vector<model::Event> as_events(const Imported& imported, std::string_view text)
{
    // The times are part of the name: they may come from outside the document.
    Sha256 identity;
    identity.update(text);
    for (const auto& draft : imported.drafts) {
        identity.update(format_time(draft.at));
    }
    const auto origin = make_uuid5(stemma_uuid_space, "import:" + identity.finish().hex());
    std::vector<model::Event> events;
    events.reserve(imported.drafts.size());
    for (const auto& draft : imported.drafts) {
        events.push_back({origin, events.size() + 1, draft.at, draft.kind, draft.body});
    }
    return events;
}

} // namespace stemma::exporting
