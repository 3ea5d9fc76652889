#include "keyed_hash.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <random>

namespace stemma::analyzer {

namespace {

const std::array<std::uint64_t, 2>& process_key()
{
    static const std::array<std::uint64_t, 2> key = [] {
        std::random_device random;
        const auto word = [&] { return (std::uint64_t{random()} << 32U) | random(); };
        return std::array<std::uint64_t, 2>{word(), word()};
    }();
    return key;
}

} // namespace

KeyedHash::KeyedHash()
    : v0_(process_key()[0] ^ 0x736f6d6570736575ULL),
      v1_(process_key()[1] ^ 0x646f72616e646f6dULL),
      v2_(process_key()[0] ^ 0x6c7967656e657261ULL),
      v3_(process_key()[1] ^ 0x7465646279746573ULL)
{
}

void KeyedHash::round() noexcept
{
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
}

void KeyedHash::add(std::uint64_t word) noexcept
{
    v3_ ^= word;
    round();
    v0_ ^= word;
}

void KeyedHash::add(std::string_view text) noexcept
{
    std::uint64_t word = 0;
    while (text.size() >= sizeof word) {
        std::memcpy(&word, text.data(), sizeof word);
        add(word);
        text.remove_prefix(sizeof word);
    }
    if (!text.empty()) {
        word = 0;
        std::memcpy(&word, text.data(), text.size());
        add(word);
    }
}

std::uint64_t KeyedHash::finish() noexcept
{
    v2_ ^= 0xff;
    round();
    round();
    round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
}

} // namespace stemma::analyzer
