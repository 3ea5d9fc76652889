#include "stemma/sodium/signing.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <sodium.h>

#include <algorithm>
#include <new>

namespace stemma::sodium {

struct SecretKey::Bytes {
    std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> key;
    std::array<std::uint8_t, crypto_sign_PUBLICKEYBYTES> point;
};

namespace {

using namespace std::string_view_literals;

// RFC 8410: everything of the DER forms but the 32 bytes themselves is fixed.
constexpr auto secret_head = "\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"sv;
constexpr auto public_head = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"sv;
constexpr std::size_t raw_size = 32;
constexpr std::size_t longest_pem = 4096;

void start()
{
    if (sodium_init() < 0) {
        throw Error(ErrorCode::io, "libsodium cannot be started: no source of randomness");
    }
}

const std::uint8_t* bytes_of(std::string_view text) noexcept
{
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

Error not_a_key(std::string_view name, std::string_view label)
{
    const bool secret = label == "PRIVATE KEY";
    return {ErrorCode::corrupt,
            fmt::format("{}: not an Ed25519 {} key in PEM form",
                        printable(name),
                        secret ? "secret" : "public"),
            fmt::format("`stemma key generate FILE` writes {}",
                        secret ? "the secret key to FILE" : "the public key to FILE.pub")};
}

std::string to_pem(std::string_view head, const std::uint8_t* raw, std::string_view label)
{
    std::string der(head);
    der.append(reinterpret_cast<const char*>(raw), raw_size);
    std::string base64 = to_base64(der);
    auto pem = fmt::format("-----BEGIN {0}-----\n{1}\n-----END {0}-----\n", label, base64);
    wipe(der);
    wipe(base64);
    return pem;
}

/// The 32 bytes within the one PEM block that `text` must be.
std::string from_pem(std::string_view text,
                     std::string_view head,
                     std::string_view label,
                     std::string_view name)
{
    const auto begin = fmt::format("-----BEGIN {}-----", label);
    const auto end = fmt::format("-----END {}-----", label);
    const auto body = trim(text);
    if (text.size() > longest_pem || body.size() < begin.size() + end.size() ||
        !body.starts_with(begin) || !body.ends_with(end)) {
        throw not_a_key(name, label);
    }
    std::string base64;
    for (const char byte : body.substr(begin.size(), body.size() - begin.size() - end.size())) {
        if (byte != '\n' && byte != '\r') {
            base64 += byte;
        }
    }
    auto der = from_base64(base64);
    wipe(base64);
    if (!der || der->size() != head.size() + raw_size || !der->starts_with(head)) {
        throw not_a_key(name, label);
    }
    auto raw = der->substr(head.size());
    wipe(*der);
    return raw;
}

} // namespace

void wipe(std::string& text) noexcept
{
    sodium_memzero(text.data(), text.size());
    text.clear();
}

PublicKey PublicKey::from_pem(std::string_view text, std::string_view name)
{
    start();
    const auto raw = sodium::from_pem(text, public_head, "PUBLIC KEY", name);
    std::array<std::uint8_t, raw_size> point{};
    std::copy_n(bytes_of(raw), raw_size, point.begin());
    std::array<std::uint8_t, crypto_scalarmult_curve25519_BYTES> unused{};
    if (crypto_sign_ed25519_pk_to_curve25519(unused.data(), point.data()) != 0) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: this is no usable Ed25519 public key", printable(name)));
    }
    return PublicKey(point);
}

std::string PublicKey::pem() const
{
    return to_pem(public_head, point_.data(), "PUBLIC KEY");
}

std::string PublicKey::id() const
{
    std::string der(public_head);
    der.append(reinterpret_cast<const char*>(point_.data()), point_.size());
    return sha256(der).hex();
}

bool PublicKey::verify(std::string_view message, std::string_view signature) const
{
    return signature.size() == signature_size &&
           crypto_sign_verify_detached(
               bytes_of(signature), bytes_of(message), message.size(), point_.data()) == 0;
}

void SecretKey::Release::operator()(Bytes* bytes) const noexcept
{
    sodium_free(bytes); // wipes before it releases
}

SecretKey::SecretKey(Owned bytes) : bytes_(std::move(bytes)) {}
SecretKey::~SecretKey() = default;
SecretKey::SecretKey(SecretKey&& other) noexcept = default;
SecretKey& SecretKey::operator=(SecretKey&& other) noexcept = default;

SecretKey SecretKey::from_seed(const std::uint8_t* seed)
{
    Owned bytes(static_cast<Bytes*>(sodium_malloc(sizeof(Bytes))));
    if (!bytes) {
        throw std::bad_alloc();
    }
    crypto_sign_seed_keypair(bytes->point.data(), bytes->key.data(), seed);
    return SecretKey(std::move(bytes));
}

SecretKey SecretKey::generate()
{
    start();
    std::string seed(crypto_sign_SEEDBYTES, '\0');
    randombytes_buf(seed.data(), seed.size());
    auto key = from_seed(bytes_of(seed));
    wipe(seed);
    return key;
}

SecretKey SecretKey::from_pem(std::string_view text, std::string_view name)
{
    start();
    auto seed = sodium::from_pem(text, secret_head, "PRIVATE KEY", name);
    auto key = from_seed(bytes_of(seed));
    wipe(seed);
    return key;
}

std::string SecretKey::pem() const
{
    return to_pem(secret_head, bytes_->key.data(), "PRIVATE KEY"); // its first half is the seed
}

PublicKey SecretKey::public_key() const
{
    return PublicKey(bytes_->point);
}

std::string SecretKey::sign(std::string_view message) const
{
    std::array<std::uint8_t, signature_size> signature{};
    crypto_sign_detached(
        signature.data(), nullptr, bytes_of(message), message.size(), bytes_->key.data());
    return {reinterpret_cast<const char*>(signature.data()), signature.size()};
}

} // namespace stemma::sodium
