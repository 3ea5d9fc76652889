#include "stemma/core/digest.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace stemma;

namespace {

std::string bytes_of(std::size_t size, unsigned seed)
{
    std::mt19937 random(seed);
    std::string bytes(size, '\0');
    for (auto& byte : bytes) {
        byte = static_cast<char>(random());
    }
    return bytes;
}

std::string first_word(const std::string& text)
{
    return text.substr(0, text.find_first_of(" \n"));
}

} // namespace

TEST_CASE("SHA-256 of FIPS 180-4's examples")
{
    CHECK(sha256("abc").hex() ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("digests equal sha256sum and git hash-object at every length around a block")
{
    const TemporaryFolder folder("digest");
    for (const auto size : std::initializer_list<std::size_t>{
             0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 4096, 300000}) {
        const auto bytes = bytes_of(size, static_cast<unsigned>(size));
        const auto path = (folder.path() / std::to_string(size)).string();
        write_file(path, bytes);
        const auto sum = first_word(run_checked({.argv = {"sha256sum", path}}).out);
        const auto blob = first_word(run_checked({.argv = {"git", "hash-object", path}}).out);
        INFO(size);
        CHECK(sha256(bytes).hex() == sum);
        CHECK(sha256_file(path).hex() == sum);
        CHECK(git_blob_id(bytes) == blob);
        const auto ids = hash_file(path);
        CHECK(ids.sha256.hex() == sum);
        CHECK(ids.blob == blob);
        CHECK(ids.size == size);
    }
}

TEST_CASE("how the input is cut does not change a digest")
{
    const auto bytes = bytes_of(1000, 7);
    for (std::size_t cut = 0; cut <= bytes.size(); cut += 13) {
        Sha256 hash;
        hash.update(std::string_view(bytes).substr(0, cut));
        hash.update(std::string_view(bytes).substr(cut));
        REQUIRE(hash.finish() == sha256(bytes));
    }
}

TEST_CASE("the portable code gives what the processor's instructions give")
{
    const auto bytes = bytes_of(64 * 9, 3);
    const std::array<std::uint32_t, 8> start = {1, 2, 3, 4, 5, 6, 7, 8};
    auto portable = start;
    detail::sha256_blocks_portable(
        portable.data(), reinterpret_cast<const std::uint8_t*>(bytes.data()), 9);
    auto twice = start;
    for (std::size_t i = 0; i < 9; ++i) {
        detail::sha256_blocks_portable(
            twice.data(), reinterpret_cast<const std::uint8_t*>(bytes.data()) + 64 * i, 1);
    }
    CHECK(portable == twice);
    // sha256() uses the instructions where there are any; padding makes this a whole message.
    std::array<std::uint32_t, 8> initial = {0x6a09e667U,
                                            0xbb67ae85U,
                                            0x3c6ef372U,
                                            0xa54ff53aU,
                                            0x510e527fU,
                                            0x9b05688cU,
                                            0x1f83d9abU,
                                            0x5be0cd19U};
    std::string padded = "abc\x80";
    padded.resize(63, '\0');
    padded += static_cast<char>(24);
    detail::sha256_blocks_portable(
        initial.data(), reinterpret_cast<const std::uint8_t*>(padded.data()), 1);
    CHECK(fmt::format("{:08x}", initial[0]) == sha256("abc").hex().substr(0, 8));
}

TEST_CASE("a digest reads its own text, with or without the algorithm's name")
{
    const auto digest = sha256("x");
    CHECK(Digest::from_hex(digest.hex()) == digest);
    CHECK(Digest::from_hex("sha256:" + digest.hex()) == digest);
    CHECK_FALSE(Digest::from_hex(digest.hex().substr(1)));
    CHECK_FALSE(Digest::from_hex(std::string(64, 'g')));
}
