#pragma once

#include <cstdint>
#include <random>

namespace stemma::analyzer {

/// Numbers that are the same everywhere for the same seed; the standard's distributions are not.
class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    /// 0…bound-1; the bias is below 2⁻³² for the bounds that are used here.
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(engine_() % bound); }

private:
    std::mt19937_64 engine_;
};

} // namespace stemma::analyzer
