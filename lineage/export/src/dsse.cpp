#include "stemma/export/dsse.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

namespace stemma::exporting {

namespace {

constexpr std::size_t most_signatures = 64;

std::string decoded(const Json& object, std::string_view key)
{
    auto bytes = from_base64(string_member(object, key));
    if (!bytes) {
        throw Error(ErrorCode::corrupt, fmt::format("member '{}' is not base64", key));
    }
    return std::move(*bytes);
}

} // namespace

std::string pre_authentication_encoding(std::string_view payload_type, std::string_view payload)
{
    return fmt::format(
        "DSSEv1 {} {} {} {}", payload_type.size(), payload_type, payload.size(), payload);
}

Envelope
sign_envelope(std::string payload, const sodium::SecretKey& key, std::string_view payload_type)
{
    auto signature = key.sign(pre_authentication_encoding(payload_type, payload));
    return {std::string(payload_type),
            std::move(payload),
            {{key.public_key().id(), std::move(signature)}}};
}

Json to_json(const Envelope& envelope)
{
    Json signatures = Json::array();
    for (const auto& signature : envelope.signatures) {
        signatures.push_back({{"keyid", signature.keyid}, {"sig", to_base64(signature.sig)}});
    }
    return {{"payload", to_base64(envelope.payload)},
            {"payloadType", envelope.payload_type},
            {"signatures", std::move(signatures)}};
}

Envelope envelope_from_json(const Json& json)
{
    Envelope envelope;
    envelope.payload_type = string_member(json, "payloadType");
    envelope.payload = decoded(json, "payload");
    const auto& signatures = array_member(json, "signatures");
    if (signatures.empty() || signatures.size() > most_signatures) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("an envelope has 1 to {} signatures, this one {}",
                                most_signatures,
                                signatures.size()));
    }
    for (const auto& signature : signatures) {
        envelope.signatures.push_back(
            {optional_string_member(signature, "keyid").value_or(""), decoded(signature, "sig")});
    }
    return envelope;
}

bool looks_like_envelope(const Json& json) noexcept
{
    return json.is_object() && json.contains("payload") && json.contains("payloadType");
}

bool is_signed_by(const Envelope& envelope, const sodium::PublicKey& key)
{
    const auto signed_bytes = pre_authentication_encoding(envelope.payload_type, envelope.payload);
    return std::any_of(envelope.signatures.begin(),
                       envelope.signatures.end(),
                       [&](const Envelope::Signature& signature) {
                           return key.verify(signed_bytes, signature.sig);
                       });
}

} // namespace stemma::exporting
