#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/export/dsse.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace stemma;
using namespace stemma::exporting;
using stemma::support::error_of;

TEST_CASE("the pre-authentication encoding of the specification's example")
{
    CHECK(pre_authentication_encoding("http://example.com/HelloWorld", "hello world") ==
          "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    CHECK(pre_authentication_encoding("", "") == "DSSEv1 0  0 ");
}

TEST_CASE("an envelope survives its JSON form and is accepted by its signer's key alone")
{
    const auto key = sodium::SecretKey::generate();
    const auto other = sodium::SecretKey::generate();
    const auto text = canonical_json(to_json(sign_envelope(R"({"a":1})", key)));
    const auto envelope = envelope_from_json(parse_json(text, "envelope"));
    CHECK(envelope.payload == R"({"a":1})");
    CHECK(is_signed_by(envelope, key.public_key()));
    CHECK_FALSE(is_signed_by(envelope, other.public_key()));
}

TEST_CASE("another payload, payload type or keyid under a good signature is not accepted")
{
    const auto key = sodium::SecretKey::generate();
    const auto good = sign_envelope("payload", key);
    auto forged = good;
    forged.payload = "Payload";
    CHECK_FALSE(is_signed_by(forged, key.public_key()));
    forged = good;
    forged.payload_type = "application/json";
    CHECK_FALSE(is_signed_by(forged, key.public_key()));
    // A stranger's signature that claims to be the key's.
    forged = sign_envelope("payload", sodium::SecretKey::generate());
    forged.signatures.front().keyid = key.public_key().id();
    CHECK_FALSE(is_signed_by(forged, key.public_key()));
}

TEST_CASE("one good signature among strangers' is enough")
{
    const auto key = sodium::SecretKey::generate();
    auto envelope = sign_envelope("payload", sodium::SecretKey::generate());
    envelope.signatures.push_back(sign_envelope("payload", key).signatures.front());
    CHECK(is_signed_by(envelope, key.public_key()));
}

TEST_CASE("an envelope cut at any byte is refused")
{
    const auto text =
        canonical_json(to_json(sign_envelope("payload", sodium::SecretKey::generate())));
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
        INFO(cut);
        REQUIRE(error_of([&] { envelope_from_json(parse_json(text.substr(0, cut), "e")); }));
    }
}

TEST_CASE("an envelope with any byte changed is refused or not accepted, unless it says the same")
{
    const auto key = sodium::SecretKey::generate();
    const auto original = sign_envelope("payload", key);
    const auto text = canonical_json(to_json(original));
    std::mt19937 random(1);
    for (int round = 0; round < 5000; ++round) {
        auto mutated = text;
        mutated[random() % mutated.size()] = static_cast<char>(random());
        std::optional<Envelope> envelope;
        error_of([&] { envelope = envelope_from_json(parse_json(mutated, "e")); });
        if (envelope && is_signed_by(*envelope, key.public_key())) {
            REQUIRE(envelope->payload == original.payload);
            REQUIRE(envelope->payload_type == original.payload_type);
        }
    }
}

TEST_CASE("OpenSSL verifies the signature over the encoding that it builds itself")
{
    const TemporaryFolder folder("dsse");
    const auto key = sodium::SecretKey::generate();
    const auto at = [&](const char* name) { return (folder.path() / name).string(); };
    write_file(at("envelope"), canonical_json(to_json(sign_envelope("{\"x\": \"é\"}", key))));
    write_file(at("key.pub"), key.public_key().pem());
    const std::string script = R"(
import base64, json, subprocess, sys
folder = sys.argv[1]
envelope = json.load(open(folder + "/envelope"))
kind = envelope["payloadType"].encode()
body = base64.b64decode(envelope["payload"], validate=True)
pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
open(folder + "/pae", "wb").write(pae)
open(folder + "/sig", "wb").write(base64.b64decode(envelope["signatures"][0]["sig"], validate=True))
)";
    run_checked({.argv = {"python3", "-c", script, folder.path().string()}});
    run_checked({.argv = {"openssl",
                          "pkeyutl",
                          "-verify",
                          "-rawin",
                          "-pubin",
                          "-inkey",
                          at("key.pub"),
                          "-sigfile",
                          at("sig"),
                          "-in",
                          at("pae")}});
}
