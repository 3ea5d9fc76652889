#pragma once

#include <cstdint>
#include <string_view>

namespace stemma::analyzer {

/// SipHash-1-3 (Aumasson and Bernstein, 2012) under a key that each process draws: nobody who
/// writes what is hashed can make two texts meet.
class KeyedHash {
public:
    KeyedHash();

    void add(std::uint64_t word) noexcept;
    /// Its bytes, the last word filled with zeros; lengths are added by the caller.
    void add(std::string_view text) noexcept;
    [[nodiscard]] std::uint64_t finish() noexcept;

private:
    void round() noexcept;
    std::uint64_t v0_, v1_, v2_, v3_;
};

} // namespace stemma::analyzer
