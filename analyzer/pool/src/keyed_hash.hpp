#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stemma::analyzer {

/// SipHash-1-3 (Aumasson and Bernstein, 2012) under a key that each process draws: nobody who
/// writes what is hashed can make two texts meet.
class KeyedHash {
public:
    KeyedHash();

    void add(std::uint64_t word) noexcept
    {
        v3_ ^= word;
        round();
        v0_ ^= word;
    }
    /// Its bytes, the last word filled with zeros; lengths are added by the caller.
    void add(std::string_view text) noexcept
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
    [[nodiscard]] std::uint64_t finish() noexcept;

private:
    void round() noexcept
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
    std::uint64_t v0_, v1_, v2_, v3_;
};

} // namespace stemma::analyzer
