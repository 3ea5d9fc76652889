#include "volatility.hpp"

#include <cmath>
#include <vector>

namespace stemma::analyzer {

namespace {

/// Beta distributions of the rate at which VMs differ, for each of the three kinds.
constexpr std::array<std::pair<double, double>, 3> kinds = {{{0.05, 60}, {0.6, 4}, {4, 2}}};

double log_beta(double a, double b)
{
    // lgamma_r keeps its sign in the caller's hands; plain lgamma writes a global.
    int sign = 0;
    return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

/// Beta-binomial likelihood without the binomial coefficient, which all kinds share.
std::array<double, 3> likelihoods(double k, double n)
{
    std::array<double, 3> result{};
    for (std::size_t j = 0; j < kinds.size(); ++j) {
        const auto [a, b] = kinds[j];
        result[j] = std::exp(log_beta(a + k, b + n - k) - log_beta(a, b));
    }
    return result;
}

std::array<double, 3> weigh(const Volatility& volatility, const std::array<double, 3>& likelihood)
{
    std::array<double, 3> weight{};
    double total = 0;
    for (std::size_t j = 0; j < weight.size(); ++j) {
        weight[j] = volatility.share[j] * likelihood[j];
        total += weight[j];
    }
    for (double& w : weight) {
        w = total > 0 ? w / total : 1.0 / 3;
    }
    return weight;
}

} // namespace

Volatility fit_volatility(const TailCounts& seen, const Volatility& prior, double strength)
{
    std::vector<std::pair<std::array<double, 3>, double>> rows;
    rows.reserve(seen.size());
    for (const auto& [key, count] : seen) {
        rows.emplace_back(likelihoods(key.first, key.second), count);
    }
    Volatility fit = prior;
    for (int round = 0; round < 30; ++round) {
        std::array<double, 3> sum{};
        double total = strength;
        for (std::size_t j = 0; j < sum.size(); ++j) {
            sum[j] = strength * prior.share[j];
        }
        for (const auto& [likelihood, count] : rows) {
            const auto weight = weigh(fit, likelihood);
            for (std::size_t j = 0; j < sum.size(); ++j) {
                sum[j] += weight[j] * count;
            }
            total += count;
        }
        for (std::size_t j = 0; j < sum.size(); ++j) {
            fit.share[j] = sum[j] / total;
        }
    }
    return fit;
}

Rarity rarity(const Volatility& volatility, std::size_t k, std::size_t n)
{
    const auto tail = static_cast<double>(k);
    const auto all = static_cast<double>(n);
    Rarity result;
    result.posterior = weigh(volatility, likelihoods(tail, all));
    result.probability = 0;
    for (std::size_t j = 0; j < kinds.size(); ++j) {
        const auto [a, b] = kinds[j];
        result.probability += result.posterior[j] * (a + tail) / (a + b + all);
    }
    return result;
}

} // namespace stemma::analyzer
