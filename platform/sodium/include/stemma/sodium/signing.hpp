#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

/// Ed25519 (RFC 8032) signatures. Keys are kept in the PEM forms that OpenSSL, GnuTLS and cosign
/// read and write, so that no tool of ours is needed to make or check them:
///
///     secret   PKCS #8 v1 (RFC 8410), one "PRIVATE KEY" block, 48 bytes of DER, not encrypted
///     public   SubjectPublicKeyInfo (RFC 8410), one "PUBLIC KEY" block, 44 bytes of DER
namespace stemma::sodium {

inline constexpr std::size_t signature_size = 64; ///< bytes

class PublicKey {
public:
    /// name  of the file, for messages
    /// throws  corrupt: not exactly one PEM block of an Ed25519 public key, or a point that no
    ///         honest key has (small order)
    static PublicKey from_pem(std::string_view text, std::string_view name);

    [[nodiscard]] std::string pem() const;
    /// SHA-256 of the DER form, 64 hexadecimal digits; a hint for finding the key, never proof.
    [[nodiscard]] std::string id() const;
    /// False for any signature that this key did not make over exactly this message.
    [[nodiscard]] bool verify(std::string_view message, std::string_view signature) const;

    bool operator==(const PublicKey&) const = default;

private:
    friend class SecretKey;
    explicit PublicKey(const std::array<std::uint8_t, 32>& point) : point_(point) {}
    std::array<std::uint8_t, 32> point_;
};

/// Kept in locked memory that is wiped when the object goes.
class SecretKey {
public:
    static SecretKey generate();
    /// throws  corrupt: not exactly one PEM block of an unencrypted Ed25519 secret key
    static SecretKey from_pem(std::string_view text, std::string_view name);
    ~SecretKey();
    SecretKey(SecretKey&& other) noexcept;
    SecretKey& operator=(SecretKey&& other) noexcept;
    SecretKey(const SecretKey&) = delete;
    SecretKey& operator=(const SecretKey&) = delete;

    /// The text of a key file; the caller wipes it.
    [[nodiscard]] std::string pem() const;
    [[nodiscard]] PublicKey public_key() const;
    /// 64 bytes; the same message gives the same signature.
    [[nodiscard]] std::string sign(std::string_view message) const;

private:
    struct Bytes;
    struct Release {
        void operator()(Bytes* bytes) const noexcept;
    };
    using Owned = std::unique_ptr<Bytes, Release>;
    explicit SecretKey(Owned bytes);
    static SecretKey from_seed(const std::uint8_t* seed);
    Owned bytes_;
};

/// Overwrites a text that held a secret, in a way that no optimiser removes.
void wipe(std::string& text) noexcept;

} // namespace stemma::sodium
