#include "stemma/guest/frame.hpp"

#include "stemma/core/error.hpp"

#include <array>

namespace stemma::guest {

namespace {

constexpr std::string_view magic = "STMG";

constexpr std::array<std::uint32_t, 256> make_crc_table()
{
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value & 1U) != 0 ? (value >> 1U) ^ 0xedb88320U : value >> 1U;
        }
        table[i] = value;
    }
    return table;
}

constexpr auto crc_table = make_crc_table();

template <typename Integer>
void put(std::string& out, Integer value)
{
    for (std::size_t i = 0; i < sizeof value; ++i) {
        out.push_back(static_cast<char>((std::uint64_t{value} >> (8U * i)) & 0xffU));
    }
}

template <typename Integer>
Integer get(std::string_view in, std::size_t offset) noexcept
{
    Integer value = 0;
    for (std::size_t i = sizeof value; i-- > 0;) {
        value = static_cast<Integer>((static_cast<std::uint64_t>(value) << 8U) |
                                     static_cast<unsigned char>(in[offset + i]));
    }
    return value;
}

bool is_known(std::uint8_t type) noexcept
{
    return type >= static_cast<std::uint8_t>(FrameType::hello) &&
           type <= static_cast<std::uint8_t>(FrameType::cancel);
}

} // namespace

std::uint32_t crc32(std::string_view data, std::uint32_t before) noexcept
{
    std::uint32_t value = ~before;
    for (const char byte : data) {
        value = crc_table[(value ^ static_cast<unsigned char>(byte)) & 0xffU] ^ (value >> 8U);
    }
    return ~value;
}

std::string encode(const Frame& frame)
{
    if (frame.payload.size() > max_payload) {
        throw Error(ErrorCode::usage,
                    fmt::format("a message of {} bytes is more than the guest channel takes in one "
                                "piece ({})",
                                frame.payload.size(),
                                max_payload));
    }
    std::string out;
    out.reserve(header_size + frame.payload.size());
    out += magic;
    put(out, protocol_version);
    put(out, static_cast<std::uint8_t>(frame.type));
    put(out, std::uint16_t{0});
    put(out, frame.epoch);
    put(out, frame.request);
    put(out, static_cast<std::uint32_t>(frame.payload.size()));
    put(out, crc32(frame.payload, crc32(out)));
    out += frame.payload;
    return out;
}

Frame json_frame(FrameType type, std::uint64_t epoch, std::uint32_t request, const Json& payload)
{
    return {.type = type, .epoch = epoch, .request = request, .payload = canonical_json(payload)};
}

Frame data_frame(std::uint64_t epoch, std::uint32_t request, char stream, std::string_view bytes)
{
    std::string payload(1, stream);
    payload += bytes;
    return {
        .type = FrameType::data, .epoch = epoch, .request = request, .payload = std::move(payload)};
}

Frame credit_frame(std::uint64_t epoch, std::uint32_t request, std::uint32_t bytes)
{
    std::string payload;
    put(payload, bytes);
    return {.type = FrameType::credit,
            .epoch = epoch,
            .request = request,
            .payload = std::move(payload)};
}

std::uint32_t credit_of(const Frame& frame) noexcept
{
    return frame.payload.size() == 4 ? get<std::uint32_t>(frame.payload, 0) : 0;
}

void Decoder::feed(std::string_view bytes)
{
    held_ += bytes;
}

void Decoder::drop(std::size_t bytes)
{
    held_.erase(0, bytes);
    skipped_ += bytes;
}

std::optional<Frame> Decoder::next()
{
    while (true) {
        const auto start = held_.find(magic);
        if (start == std::string::npos) {
            // The last three bytes may be the beginning of a magic.
            if (held_.size() >= magic.size()) {
                drop(held_.size() - (magic.size() - 1));
            }
            return std::nullopt;
        }
        if (start != 0) {
            drop(start);
        }
        if (held_.size() < header_size) {
            return std::nullopt;
        }
        const auto length = get<std::uint32_t>(held_, 20);
        const auto version = get<std::uint8_t>(held_, 4);
        const auto type = get<std::uint8_t>(held_, 5);
        if (length > max_payload || version != protocol_version || !is_known(type)) {
            drop(1);
            continue;
        }
        if (held_.size() < header_size + length) {
            return std::nullopt;
        }
        const std::string_view all(held_);
        const auto payload = all.substr(header_size, length);
        if (get<std::uint32_t>(held_, 24) != crc32(payload, crc32(all.substr(0, 24)))) {
            drop(1);
            continue;
        }
        Frame frame{.type = static_cast<FrameType>(type),
                    .epoch = get<std::uint64_t>(held_, 8),
                    .request = get<std::uint32_t>(held_, 16),
                    .payload = std::string(payload)};
        held_.erase(0, header_size + length);
        return frame;
    }
}

} // namespace stemma::guest
