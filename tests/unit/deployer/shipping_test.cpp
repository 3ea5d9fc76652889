#include "stemma/core/digest.hpp"

#include <catch2/catch.hpp>

#include <random>

#include "blob_shelf.hpp"
#include "shipping.hpp"

using namespace stemma;
using namespace stemma::deployer;

namespace {

using Bytes = std::vector<std::byte>;

Bytes noise(std::size_t size, unsigned seed)
{
    std::mt19937 random(seed);
    Bytes bytes(size);
    for (auto& byte : bytes) {
        byte = static_cast<std::byte>(random() | 1U);
    }
    return bytes;
}

Scan scan(const Bytes& wanted, const Bytes* had)
{
    volume::MemoryVolume to(wanted);
    if (had == nullptr) {
        return scan_for_shipping(to, nullptr, nullptr);
    }
    volume::MemoryVolume from(*had);
    return scan_for_shipping(to, &from, nullptr);
}

/// What the host has after the ranges were written over what it had.
Bytes shipped(const Bytes& wanted, Bytes had, const Scan& scan)
{
    had.resize(wanted.size());
    for (const auto& range : scan.ranges) {
        REQUIRE(range.offset + range.length <= wanted.size());
        REQUIRE(range.length <= max_range);
        std::copy_n(wanted.begin() + static_cast<std::ptrdiff_t>(range.offset),
                    range.length,
                    had.begin() + static_cast<std::ptrdiff_t>(range.offset));
    }
    return had;
}

} // namespace

TEST_CASE("what is shipped turns what the host has into what is wanted")
{
    const auto size = GENERATE(std::size_t{0}, 1U, 4095U, 4096U, 200'001U, 3'000'000U);
    const auto had_size = GENERATE(std::size_t{0}, 1U, 100'000U, 3'000'000U);
    auto wanted = noise(size, 1);
    std::mt19937 random(7);
    for (int hole = 0; hole < 5 && size > 0; ++hole) { // zeros here and there
        const auto at = random() % size;
        std::fill_n(wanted.begin() + static_cast<std::ptrdiff_t>(at),
                    std::min<std::size_t>(size - at, 150'000),
                    std::byte{0});
    }
    auto had = wanted;
    had.resize(had_size);
    for (int change = 0; change < 20 && had_size > 0; ++change) {
        had[random() % had_size] ^= std::byte{0x55};
    }
    const auto whole = scan(wanted, nullptr);
    CHECK(shipped(wanted, {}, whole) == wanted);
    const auto changed = scan(wanted, &had);
    CHECK(shipped(wanted, had, changed) == wanted);
    const std::string_view text(reinterpret_cast<const char*>(wanted.data()), wanted.size());
    CHECK(whole.digest == sha256(text).hex());
    CHECK(changed.digest == whole.digest);
}

TEST_CASE("zeros are not sent, equal volumes send nothing, long runs are cut")
{
    CHECK(scan(Bytes(10'000'000), nullptr).ranges.empty());
    const auto same = noise(1'000'000, 3);
    CHECK(scan(same, &same).ranges.empty());
    const auto big = scan(Bytes(max_range + 5, std::byte{1}), nullptr);
    REQUIRE(big.ranges.size() == 2);
    CHECK(big.ranges[1] == Range{.offset = max_range, .length = 5});
    CHECK(big.bytes == max_range + 5);
}

TEST_CASE("scattered changes cost at most a tenth more than their blocks")
{
    auto had = noise(8'000'000, 5);
    auto wanted = had;
    std::mt19937 random(11);
    std::uint64_t blocks = 0;
    for (std::size_t block = 0; block + 4096 < wanted.size(); block += 4096) {
        if (random() % 5 == 0) {
            wanted[block + random() % 4096] ^= std::byte{1};
            ++blocks;
        }
    }
    const auto found = scan(wanted, &had);
    CHECK(found.bytes <= blocks * 4096 * 11 / 10);
    CHECK(found.ranges.size() <= blocks);
    CHECK(shipped(wanted, had, found) == wanted);
}

TEST_CASE("a mark says what was written into it, and a torn one says nothing")
{
    const Mark mark{.state = Mark::State::sending,
                    .from = "base~" + std::string(64, 'a') + ".raw",
                    .sent = 1'234'567'890'123,
                    .written = "1700000000.123456789/1700000000.1/1073741824"};
    const auto text = to_text(mark);
    CHECK(text.size() == 512);
    const auto read = mark_from(text);
    CHECK(read.state == mark.state);
    CHECK(read.from == mark.from);
    CHECK(read.sent == mark.sent);
    CHECK(read.written == mark.written);
    const auto json_size = text.find_last_not_of(' ') + 1;
    for (std::size_t cut = 0; cut < json_size; ++cut) {
        CHECK(mark_from(text.substr(0, cut)).state == Mark::State::none);
    }
    CHECK(mark_from(std::string(512, '\0')).state == Mark::State::none);
}
