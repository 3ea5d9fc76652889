#include "stemma/core/digest.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "sha256_blocks.hpp"

namespace stemma {

namespace {

/// The length in bits, big-endian, that ends the last block of SHA-1 and SHA-256 alike.
void put_bit_length(std::uint8_t* out, std::uint64_t bytes) noexcept
{
    const std::uint64_t bits = bytes * 8;
    for (unsigned i = 0; i < 8; ++i) {
        out[i] = static_cast<std::uint8_t>(bits >> (56U - 8U * i));
    }
}

void put_big_endian(std::uint8_t* out, std::uint32_t word) noexcept
{
    out[0] = static_cast<std::uint8_t>(word >> 24U);
    out[1] = static_cast<std::uint8_t>(word >> 16U);
    out[2] = static_cast<std::uint8_t>(word >> 8U);
    out[3] = static_cast<std::uint8_t>(word);
}

std::uint32_t get_big_endian(const std::uint8_t* in) noexcept
{
    return (std::uint32_t{in[0]} << 24U) | (std::uint32_t{in[1]} << 16U) |
           (std::uint32_t{in[2]} << 8U) | std::uint32_t{in[3]};
}

/// Feeds `data` through a 64-byte buffer; `blocks(pointer, count)` gets whole blocks.
template <typename Blocks>
void absorb(std::array<std::uint8_t, 64>& buffer,
            std::size_t& held,
            std::string_view data,
            const Blocks& blocks) noexcept
{
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(data.data());
    std::size_t left = data.size();
    if (held != 0) {
        const auto taken = std::min(left, buffer.size() - held);
        std::memcpy(buffer.data() + held, bytes, taken);
        held += taken;
        bytes += taken;
        left -= taken;
        if (held < buffer.size()) {
            return;
        }
        blocks(buffer.data(), 1);
        held = 0;
    }
    if (left >= buffer.size()) {
        const auto whole = left / buffer.size();
        blocks(bytes, whole);
        bytes += whole * buffer.size();
        left -= whole * buffer.size();
    }
    if (left != 0) {
        std::memcpy(buffer.data(), bytes, left);
        held = left;
    }
}

/// Appends 0x80, zeros and the length, and processes the one or two last blocks.
template <typename Blocks>
void close(std::array<std::uint8_t, 64>& buffer,
           std::size_t held,
           std::uint64_t total,
           const Blocks& blocks) noexcept
{
    buffer[held++] = 0x80;
    if (held > 56) {
        std::fill(buffer.begin() + static_cast<std::ptrdiff_t>(held), buffer.end(), 0);
        blocks(buffer.data(), 1);
        held = 0;
    }
    std::fill(buffer.begin() + static_cast<std::ptrdiff_t>(held), buffer.end(), 0);
    put_bit_length(buffer.data() + 56, total);
    blocks(buffer.data(), 1);
}

detail::BlockFunction sha256_blocks() noexcept
{
    static const detail::BlockFunction chosen = detail::best_sha256_blocks();
    return chosen;
}

} // namespace

std::string Digest::hex() const
{
    return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::optional<Digest> Digest::from_hex(std::string_view text) noexcept
{
    constexpr std::string_view prefix = "sha256:";
    if (text.substr(0, prefix.size()) == prefix) {
        text.remove_prefix(prefix.size());
    }
    Digest digest;
    if (text.size() != digest.bytes.size() * 2) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        digest.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return digest;
}

Sha256::Sha256() noexcept
    : state_{0x6a09e667U,
             0xbb67ae85U,
             0x3c6ef372U,
             0xa54ff53aU,
             0x510e527fU,
             0x9b05688cU,
             0x1f83d9abU,
             0x5be0cd19U},
      block_{}
{
}

Sha256& Sha256::update(std::string_view data) noexcept
{
    total_ += data.size();
    absorb(block_, held_, data, [this](const std::uint8_t* bytes, std::size_t count) {
        sha256_blocks()(state_.data(), bytes, count);
    });
    return *this;
}

Sha256& Sha256::update(std::span<const std::byte> data) noexcept
{
    return update(std::string_view(reinterpret_cast<const char*>(data.data()), data.size()));
}

Digest Sha256::finish() noexcept
{
    close(block_, held_, total_, [this](const std::uint8_t* bytes, std::size_t count) {
        sha256_blocks()(state_.data(), bytes, count);
    });
    Digest digest;
    for (std::size_t i = 0; i < state_.size(); ++i) {
        put_big_endian(digest.bytes.data() + 4 * i, state_[i]);
    }
    return digest;
}

Sha1::Sha1() noexcept
    : state_{0x67452301U, 0xefcdab89U, 0x98badcfeU, 0x10325476U, 0xc3d2e1f0U}, block_{}
{
}

void Sha1::block(const std::uint8_t* data) noexcept
{
    std::array<std::uint32_t, 80> schedule{};
    for (std::size_t i = 0; i < 16; ++i) {
        schedule[i] = get_big_endian(data + 4 * i);
    }
    for (std::size_t i = 16; i < schedule.size(); ++i) {
        schedule[i] =
            std::rotl(schedule[i - 3] ^ schedule[i - 8] ^ schedule[i - 14] ^ schedule[i - 16], 1);
    }
    auto [a, b, c, d, e] = state_;
    for (std::size_t i = 0; i < schedule.size(); ++i) {
        std::uint32_t mixed = 0;
        std::uint32_t constant = 0;
        if (i < 20) {
            mixed = (b & c) | (~b & d);
            constant = 0x5a827999U;
        } else if (i < 40) {
            mixed = b ^ c ^ d;
            constant = 0x6ed9eba1U;
        } else if (i < 60) {
            mixed = (b & c) | (b & d) | (c & d);
            constant = 0x8f1bbcdcU;
        } else {
            mixed = b ^ c ^ d;
            constant = 0xca62c1d6U;
        }
        const std::uint32_t next = std::rotl(a, 5) + mixed + e + constant + schedule[i];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = next;
    }
    state_[0] += a;
    state_[1] += b;
    state_[2] += c;
    state_[3] += d;
    state_[4] += e;
}

Sha1& Sha1::update(std::string_view data) noexcept
{
    total_ += data.size();
    absorb(block_, held_, data, [this](const std::uint8_t* bytes, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            block(bytes + 64 * i);
        }
    });
    return *this;
}

std::string Sha1::finish_hex() noexcept
{
    close(block_, held_, total_, [this](const std::uint8_t* bytes, std::size_t) { block(bytes); });
    std::array<std::uint8_t, 20> out{};
    for (std::size_t i = 0; i < state_.size(); ++i) {
        put_big_endian(out.data() + 4 * i, state_[i]);
    }
    return to_hex({reinterpret_cast<const char*>(out.data()), out.size()});
}

Digest sha256(std::string_view data) noexcept
{
    return Sha256().update(data).finish();
}

std::string git_blob_id(std::string_view data)
{
    Sha1 sha1;
    sha1.update(fmt::format("blob {}", data.size())).update(std::string_view("\0", 1)).update(data);
    return sha1.finish_hex();
}

ContentIds hash_file(int fd)
{
    struct stat before {};
    if (::fstat(fd, &before) != 0) {
        throw system_error(errno, "look at an open file");
    }
    const auto size = static_cast<std::uint64_t>(before.st_size);
    Sha256 sha256;
    Sha1 sha1;
    sha1.update(fmt::format("blob {}", size)).update(std::string_view("\0", 1));
    std::vector<char> buffer(std::clamp<std::size_t>(size, 4096, std::size_t{1} << 18U));
    std::uint64_t done = 0;
    for (;;) {
        const auto got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(done));
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            throw system_error(errno, "read a file");
        }
        if (got == 0) {
            break;
        }
        const std::string_view data(buffer.data(), static_cast<std::size_t>(got));
        sha256.update(data);
        sha1.update(data);
        done += data.size();
        if (done > size) {
            break;
        }
    }
    if (done != size) {
        throw Error(ErrorCode::conflict, "the file changed while it was being read");
    }
    return {sha256.finish(), sha1.finish_hex(), size};
}

ContentIds hash_file(const std::string& path)
{
    const Fd fd = open_file(path, O_RDONLY);
    return doing([&] { return hash_file(fd.get()); }, "hashing {}", path);
}

Digest sha256_file(const std::string& path)
{
    const Fd fd = open_file(path, O_RDONLY);
    std::vector<char> buffer(std::size_t{1} << 18U);
    Sha256 hash;
    for (;;) {
        const auto got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            throw system_error(errno, fmt::format("read {}", path));
        }
        if (got == 0) {
            return hash.finish();
        }
        hash.update(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    }
}

} // namespace stemma
