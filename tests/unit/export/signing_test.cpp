#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/sodium/signing.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using stemma::support::error_of;

namespace {

/// What OpenSSL says of an Ed25519 signature; the second implementation.
bool openssl_verifies(const TemporaryFolder& folder,
                      const std::string& public_pem,
                      const std::string& message,
                      const std::string& signature)
{
    const auto at = [&](const char* name) { return (folder.path() / name).string(); };
    write_file(at("key"), public_pem);
    write_file(at("message"), message);
    write_file(at("signature"), signature);
    return run({.argv = {"openssl",
                         "pkeyutl",
                         "-verify",
                         "-rawin",
                         "-pubin",
                         "-inkey",
                         at("key"),
                         "-sigfile",
                         at("signature"),
                         "-in",
                         at("message")}})
        .exit.success();
}

} // namespace

TEST_CASE("OpenSSL accepts our signatures and keys, and refuses what was changed")
{
    const TemporaryFolder folder("signing");
    const auto key = sodium::SecretKey::generate();
    using namespace std::string_literals;
    const auto message = "a message\nwith \0 in it"s;
    const auto signature = key.sign(message);
    CHECK(openssl_verifies(folder, key.public_key().pem(), message, signature));
    CHECK_FALSE(openssl_verifies(folder, key.public_key().pem(), message + "x", signature));
    CHECK(key.public_key().verify(message, signature));
    CHECK_FALSE(key.public_key().verify(message + "x", signature));
}

TEST_CASE("keys that OpenSSL made are read, with the same public half and signatures")
{
    const TemporaryFolder folder("signing");
    const auto secret = (folder.path() / "secret").string();
    run_checked({.argv = {"openssl", "genpkey", "-algorithm", "ed25519", "-out", secret}});
    const auto public_pem =
        run_checked({.argv = {"openssl", "pkey", "-in", secret, "-pubout"}}).out;
    const auto der =
        run_checked({.argv = {"sh",
                              "-c",
                              "openssl pkey -in \"$0\" -pubout -outform DER | sha256sum",
                              secret}})
            .out;

    const auto key = sodium::SecretKey::from_pem(read_file(secret), "secret");
    CHECK(key.pem() == read_file(secret));
    CHECK(key.public_key().pem() == public_pem);
    CHECK(key.public_key() == sodium::PublicKey::from_pem(public_pem, "public"));
    CHECK(key.public_key().id() == der.substr(0, 64));
}

TEST_CASE("a signature with any bit turned is refused")
{
    const auto key = sodium::SecretKey::generate();
    const auto signature = key.sign("message");
    for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
        auto forged = signature;
        forged[bit / 8] = static_cast<char>(forged[bit / 8] ^ (1 << (bit % 8)));
        REQUIRE_FALSE(key.public_key().verify("message", forged));
    }
    for (std::size_t size = 0; size < signature.size(); ++size) {
        REQUIRE_FALSE(key.public_key().verify("message", signature.substr(0, size)));
    }
}

TEST_CASE("a key file cut at any byte is refused with its name")
{
    const auto key = sodium::SecretKey::generate();
    const auto secret = key.pem();
    const auto open = key.public_key().pem();
    for (std::size_t cut = 0; cut + 1 < secret.size(); ++cut) { // the last newline may be missing
        const auto error =
            error_of([&] { sodium::SecretKey::from_pem(secret.substr(0, cut), "my.key"); });
        REQUIRE(error);
        REQUIRE(error->message().starts_with("my.key: "));
    }
    for (std::size_t cut = 0; cut + 1 < open.size(); ++cut) {
        REQUIRE(error_of([&] { sodium::PublicKey::from_pem(open.substr(0, cut), "my.pub"); }));
    }
}

TEST_CASE("a key of another kind, the wrong half and points of small order are refused")
{
    const TemporaryFolder folder("signing");
    const auto rsa = (folder.path() / "rsa").string();
    run_checked({.argv = {"openssl", "genpkey", "-algorithm", "x25519", "-out", rsa}});
    CHECK(error_of([&] { sodium::SecretKey::from_pem(read_file(rsa), "x25519"); }));
    const auto key = sodium::SecretKey::generate();
    CHECK(error_of([&] { sodium::SecretKey::from_pem(key.public_key().pem(), "public"); }));
    CHECK(error_of([&] { sodium::PublicKey::from_pem(key.pem(), "secret"); }));
    // The neutral element: verifies a crafted signature over every message in naive code.
    std::string der("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00\x01", 13);
    der.resize(44, '\0');
    const auto pem =
        "-----BEGIN PUBLIC KEY-----\n" + to_base64(der) + "\n-----END PUBLIC KEY-----\n";
    CHECK(error_of([&] { sodium::PublicKey::from_pem(pem, "small"); }));
}
