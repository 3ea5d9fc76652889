#include "keyed_hash.hpp"

#include <array>
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

std::uint64_t KeyedHash::finish() noexcept
{
    v2_ ^= 0xff;
    round();
    round();
    round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
}

} // namespace stemma::analyzer
