#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stemma {

/// A SHA-256 value: the identity of content everywhere in Stemma.
struct Digest {
    std::array<std::uint8_t, 32> bytes{};

    auto operator<=>(const Digest&) const = default; // NOLINT(modernize-use-nullptr): its own 0
    /// 64 lower-case hexadecimal digits.
    [[nodiscard]] std::string hex() const;
    /// Reads 64 hexadecimal digits, with or without a "sha256:" before them; nullopt when it is
    /// anything else.
    static std::optional<Digest> from_hex(std::string_view text) noexcept;
};

/// Incremental SHA-256 (FIPS 180-4). Uses the processor's SHA extensions where it has them.
class Sha256 {
public:
    Sha256() noexcept;
    Sha256& update(std::string_view data) noexcept;
    Sha256& update(std::span<const std::byte> data) noexcept;
    /// The digest of all that was given; the object must not be used afterwards.
    [[nodiscard]] Digest finish() noexcept;

private:
    std::array<std::uint32_t, 8> state_;
    std::array<std::uint8_t, 64> block_;
    std::size_t held_ = 0;
    std::uint64_t total_ = 0;
};

/// Incremental SHA-1, for git's object ids and SPDX only: never for trust.
class Sha1 {
public:
    Sha1() noexcept;
    Sha1& update(std::string_view data) noexcept;
    /// 40 lower-case hexadecimal digits; the object must not be used afterwards.
    [[nodiscard]] std::string finish_hex() noexcept;

private:
    void block(const std::uint8_t* data) noexcept;
    std::array<std::uint32_t, 5> state_;
    std::array<std::uint8_t, 64> block_;
    std::size_t held_ = 0;
    std::uint64_t total_ = 0;
};

Digest sha256(std::string_view data) noexcept;

/// What `git hash-object` prints for a blob with exactly these bytes (SHA-1 object format).
std::string git_blob_id(std::string_view data);

/// What is known of a file's content after one read of it.
struct ContentIds {
    Digest sha256;
    std::string blob; ///< git blob id of the raw bytes
    std::uint64_t size = 0;
};

/// Hashes an open regular file from its beginning in one pass; the offset of `fd` is not used.
/// throws  io: it cannot be read; conflict: its size changed meanwhile
ContentIds hash_file(int fd);
ContentIds hash_file(const std::string& path);
Digest sha256_file(const std::string& path);

namespace detail {
/// True when SHA-256 runs on the processor's own instructions.
bool sha256_is_accelerated() noexcept;
/// The portable code, callable on any processor, so that a test can compare both.
void sha256_blocks_portable(std::uint32_t* state,
                            const std::uint8_t* data,
                            std::size_t count) noexcept;
} // namespace detail

} // namespace stemma

template <>
struct std::hash<stemma::Digest> {
    std::size_t operator()(const stemma::Digest& digest) const noexcept
    {
        std::size_t value = 0;
        for (std::size_t i = 0; i < sizeof value; ++i) {
            value = (value << 8U) | digest.bytes[i];
        }
        return value;
    }
};
