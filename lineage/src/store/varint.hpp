#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// LEB128 numbers in blobs of the store.
namespace stemma::lineage {

inline void put(std::string& out, std::uint64_t number)
{
    while (number >= 0x80U) {
        out.push_back(static_cast<char>((number & 0x7fU) | 0x80U));
        number >>= 7U;
    }
    out.push_back(static_cast<char>(number));
}

/// Small numbers of either sign stay short: 0, -1, 1, -2 … are 0, 1, 2, 3 …
inline void put_signed(std::string& out, std::int64_t number)
{
    put(out, (static_cast<std::uint64_t>(number) << 1U) ^ static_cast<std::uint64_t>(number >> 63));
}

/// How many there are, then the difference of each to the one before.
void put_ascending(std::string& out, const std::vector<std::uint32_t>& numbers);

/// Reads what put() wrote. Every function throws corrupt where the bytes end early.
class NumberReader {
public:
    /// name  what is read, for messages: "a build's graph"; both are borrowed
    NumberReader(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

    std::uint64_t number()
    {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (at_ == bytes_.size()) {
                break;
            }
            const auto byte = static_cast<unsigned char>(bytes_[at_++]);
            value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
            if (byte < 0x80U) {
                return value;
            }
        }
        refuse();
    }

    std::int64_t signed_number()
    {
        const auto value = number();
        return static_cast<std::int64_t>(value >> 1U) ^ -static_cast<std::int64_t>(value & 1U);
    }

    /// A count of things of at least one byte each.
    std::size_t count()
    {
        const auto value = number();
        if (value > bytes_.size() - at_) {
            refuse();
        }
        return value;
    }

    /// The next bytes, borrowed.
    std::string_view bytes(std::size_t count)
    {
        if (count > bytes_.size() - at_) {
            refuse();
        }
        at_ += count;
        return bytes_.substr(at_ - count, count);
    }

    /// All that is left, borrowed.
    std::string_view rest() { return bytes(bytes_.size() - at_); }

    [[nodiscard]] bool ended() const noexcept { return at_ == bytes_.size(); }

    /// What put_ascending() wrote; every number is below `bound`.
    std::vector<std::uint32_t> ascending(std::size_t bound);

    [[noreturn]] void refuse() const;

private:
    std::string_view bytes_;
    std::string_view name_;
    std::size_t at_ = 0;
};

} // namespace stemma::lineage
