#include "stemma/core/text.hpp"
#include "stemma/image/debian.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace stemma::image {

namespace {

// RFC 1321: the sine table and the shifts of its four rounds.
constexpr std::array<std::uint32_t, 64> sines = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
constexpr std::array<std::array<int, 4>, 4> shifts = {
    {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};

using State = std::array<std::uint32_t, 4>;

std::uint32_t mix(std::size_t round, const State& s) noexcept
{
    const auto [a, b, c, d] = s;
    switch (round) {
    case 0:
        return (b & c) | (~b & d);
    case 1:
        return (d & b) | (~d & c);
    case 2:
        return b ^ c ^ d;
    default:
        return c ^ (b | ~d);
    }
}

void add_block(State& state, std::string_view block) noexcept
{
    std::array<std::uint32_t, 16> words{};
    for (std::size_t i = 0; i < 64; ++i) {
        words[i / 4] |= static_cast<std::uint32_t>(static_cast<unsigned char>(block[i]))
                        << (8U * (i % 4));
    }
    constexpr std::array<std::size_t, 4> steps = {1, 5, 3, 7};
    constexpr std::array<std::size_t, 4> starts = {0, 1, 5, 0};
    State s = state;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::size_t round = i / 16;
        const std::uint32_t word = words[(starts[round] + steps[round] * (i % 16)) % 16];
        const std::uint32_t sum = s[0] + mix(round, s) + sines[i] + word;
        s = {s[3], s[1] + std::rotl(sum, shifts[round][i % 4]), s[1], s[2]};
    }
    for (std::size_t i = 0; i < 4; ++i) {
        state[i] += s[i];
    }
}

} // namespace

std::string md5_hex(std::string_view data)
{
    State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const std::uint64_t bits = std::uint64_t{data.size()} * 8;
    while (data.size() >= 64) {
        add_block(state, data.substr(0, 64));
        data.remove_prefix(64);
    }
    std::string tail(data);
    tail.push_back('\x80');
    tail.append((120 - tail.size() % 64) % 64, '\0');
    for (unsigned i = 0; i < 8; ++i) {
        tail.push_back(static_cast<char>(bits >> (8U * i)));
    }
    for (std::size_t at = 0; at < tail.size(); at += 64) {
        add_block(state, std::string_view(tail).substr(at, 64));
    }
    std::string bytes;
    for (const std::uint32_t word : state) {
        for (unsigned i = 0; i < 4; ++i) {
            bytes.push_back(static_cast<char>(word >> (8U * i)));
        }
    }
    return to_hex(bytes);
}

} // namespace stemma::image
