#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace stemma::analyzer {

/// How often settings of one family change, as a mixture of three kinds: frozen, tunable, noise.
struct Volatility {
    std::array<double, 3> share = {0.80, 0.15, 0.05};
};

/// Where nothing is known of the family.
inline constexpr Volatility even_volatility = {{0.34, 0.33, 0.33}};

/// (k, N) → how many settings were seen with it.
using TailCounts = std::map<std::pair<std::uint32_t, std::uint32_t>, double>;

/// Fits the shares to what was seen, by expectation maximisation, held near `prior` with the weight
/// of `strength` settings.
Volatility fit_volatility(const TailCounts& seen, const Volatility& prior, double strength);

struct Rarity {
    double probability = 1;            ///< that a healthy VM has a value as rare as this
    std::array<double, 3> posterior{}; ///< frozen, tunable, noise
};

/// k  peers whose value is as rare as the target's, or rarer; n  comparable peers
Rarity rarity(const Volatility& volatility, std::size_t k, std::size_t n);

} // namespace stemma::analyzer
