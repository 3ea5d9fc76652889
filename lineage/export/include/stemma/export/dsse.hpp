#pragma once

#include "stemma/core/json.hpp"
#include "stemma/sodium/signing.hpp"

#include <string>
#include <string_view>
#include <vector>

/// DSSE 1.0, the envelope of in-toto attestations:
///
///     {"payload":"<base64>","payloadType":"application/vnd.in-toto+json",
///      "signatures":[{"keyid":"<sha256 of the public key's DER form>","sig":"<base64>"}]}
///
/// What is signed is not the JSON but its pre-authentication encoding, so that no parser runs
/// before the signature was checked.
namespace stemma::exporting {

inline constexpr std::string_view intoto_payload_type = "application/vnd.in-toto+json";
/// A stemma.checkpoint/1 (lineage/ledger.hpp), as `stemma ledger checkpoint --sign` writes it.
inline constexpr std::string_view checkpoint_payload_type =
    "application/vnd.stemma.checkpoint+json";

/// "DSSEv1" SP length SP payload_type SP length SP payload; lengths are decimal, in bytes.
std::string pre_authentication_encoding(std::string_view payload_type, std::string_view payload);

struct Envelope {
    struct Signature {
        std::string keyid; ///< what the signer says of its key; not authenticated
        std::string sig;   ///< raw bytes
    };
    std::string payload_type;
    std::string payload; ///< raw bytes; not to be trusted before verify()
    std::vector<Signature> signatures;
};

Envelope sign_envelope(std::string payload,
                       const sodium::SecretKey& key,
                       std::string_view payload_type = intoto_payload_type);
Json to_json(const Envelope& envelope);

/// Reads an envelope without checking its signatures. Unknown members are ignored.
/// throws  corrupt: not an envelope, base64 that is broken, no signature or more than 64
Envelope envelope_from_json(const Json& json);
bool looks_like_envelope(const Json& json) noexcept;

/// True when one of the signatures was made by `key` over this payload and type. The keyid is not
/// looked at: it is a hint that a forger may write as he likes.
bool is_signed_by(const Envelope& envelope, const sodium::PublicKey& key);

} // namespace stemma::exporting
