#include "stemma/guest/frame.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace stemma;
using namespace stemma::guest;

namespace {

std::vector<Frame> decode_all(std::string_view bytes, std::size_t piece)
{
    Decoder decoder;
    std::vector<Frame> frames;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        decoder.feed(bytes.substr(at, piece));
        while (auto frame = decoder.next()) {
            frames.push_back(std::move(*frame));
        }
    }
    return frames;
}

Frame sample(std::uint32_t request, std::string payload)
{
    return {.type = FrameType::data,
            .epoch = 0x1122334455667788U,
            .request = request,
            .payload = std::move(payload)};
}

} // namespace

TEST_CASE("the checksum is the one of IEEE 802.3")
{
    CHECK(crc32("123456789") == 0xcbf43926U); // the check value of the CRC catalogue
    CHECK(crc32("") == 0);
    CHECK(crc32("6789", crc32("12345")) == crc32("123456789"));
}

TEST_CASE("the bytes of a frame are the documented ones")
{
    // python3: struct.pack('<4sBBHQII', b'STMG', 1, 3, 0, 7, 2, 2) + crc + b'{}'
    const auto bytes = encode(json_frame(FrameType::request, 7, 2, Json::object()));
    CHECK(
        bytes.substr(0, 24) ==
        std::string(
            "STMG\x01\x03\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00",
            24));
    CHECK(bytes.substr(28) == "{}");
    CHECK(bytes.size() == header_size + 2);
}

TEST_CASE("frames arrive whole however their bytes are cut")
{
    const auto bytes = encode(sample(1, "abc")) + encode(sample(2, std::string(max_payload, 'x'))) +
                       encode(sample(3, ""));
    for (const std::size_t piece : {1U, 7U, 27U, 28U, 29U, 4096U, 100000U}) {
        const auto frames = decode_all(bytes, piece);
        INFO(piece);
        REQUIRE(frames.size() == 3);
        CHECK(frames[0].payload == "abc");
        CHECK(frames[1].payload.size() == max_payload);
        CHECK(frames[2].request == 3);
        CHECK(frames[0].epoch == 0x1122334455667788U);
    }
}

TEST_CASE("after half a frame and other noise the next whole frame is found")
{
    const auto frame = encode(sample(9, "payload STMG end"));
    for (std::size_t cut = 0; cut < frame.size(); ++cut) {
        const auto frames =
            decode_all(frame.substr(cut) + "STMG\x01noise" + frame.substr(0, cut) +
                           encode(sample(10, "good")) + std::string(max_payload + header_size, '-'),
                       64);
        INFO(cut);
        REQUIRE_FALSE(frames.empty());
        CHECK(frames.back().payload == "good");
    }
}

TEST_CASE("a frame with any bit changed is not taken for one")
{
    const auto good = encode(sample(5, "hello"));
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        auto bad = good;
        bad[bit / 8] =
            static_cast<char>(static_cast<unsigned char>(bad[bit / 8]) ^ (1U << (bit % 8)));
        for (const auto& frame : decode_all(bad, 1000)) {
            INFO(bit);
            // Bytes 6 and 7 are reserved but covered by the checksum: nothing may pass.
            CHECK(frame.payload != "hello");
        }
    }
}

TEST_CASE("a length beyond the limit is noise and never waited for")
{
    auto bad = encode(sample(1, "x"));
    bad[22] = '\x7f';
    const auto frames = decode_all(bad + encode(sample(2, "y")), 1000);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].payload == "y");
}

TEST_CASE("noise without end is not kept")
{
    Decoder decoder;
    for (int i = 0; i < 1000; ++i) {
        decoder.feed(std::string(1000, 'S'));
        CHECK_FALSE(decoder.next());
    }
    CHECK(decoder.skipped() >= 999 * 1000);
}

TEST_CASE("credit is four bytes, and nothing else")
{
    CHECK(credit_of(credit_frame(1, 1, 70000)) == 70000);
    for (const auto* payload : {"", "abc", "abcde"}) {
        CHECK(credit_of(
                  {.type = FrameType::credit, .epoch = 1, .request = 1, .payload = payload}) == 0);
    }
}

TEST_CASE("a payload that is too large is refused before it is sent")
{
    CHECK(support::error_of([] { (void)encode(sample(1, std::string(max_payload + 1, 'x'))); }));
}
