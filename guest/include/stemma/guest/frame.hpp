#pragma once

#include "stemma/core/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The wire between a host and the helper inside a VM, over one virtio-serial port.
///
/// A frame, integers little-endian:
///
///     offset  size  field
///     0       4     magic "STMG"
///     4       1     version, 1
///     5       1     type
///     6       2     zero
///     8       8     epoch: chosen by the host at each HELLO; others' frames are refused
///     16      4     request number, chosen by the host; 0 for hello and welcome
///     20      4     length of the payload, at most 32768
///     24      4     CRC-32 (IEEE 802.3) of bytes 0..23 and the payload
///     28            payload: a JSON object, except for `data` (one byte stream number, then bytes)
///                   and `credit` (4 bytes)
///
/// A port has no connections: bytes of an earlier talk, or half a frame from a restored memory
/// image, may come first. A reader therefore looks for the next magic whose CRC holds.
namespace stemma::guest {

inline constexpr std::string_view port_name = "org.stemma.guest.0";
inline constexpr std::uint8_t protocol_version = 1;
inline constexpr std::size_t header_size = 28;
inline constexpr std::size_t max_payload = 32768;
/// Bytes of `data` that a sender may have on the way without a `credit` for them, per request.
inline constexpr std::uint32_t window = 65536;

enum class FrameType : std::uint8_t {
    hello = 1,   ///< host: {}; opens an epoch and ends whatever ran before
    welcome = 2, ///< guest: {"protocol","helper","boot_id","operations"}
    request = 3, ///< host: {"op", …}
    data = 4,    ///< both: a piece of a request's content
    end = 5,    ///< guest: the result, or {"error": {"code","message"}}; host: its content is whole
    credit = 6, ///< both: so many more bytes may be sent
    cancel = 7, ///< host: stop this request; the guest still sends its end
};

struct Frame {
    FrameType type = FrameType::hello;
    std::uint64_t epoch = 0;
    std::uint32_t request = 0;
    std::string payload;
};

/// Stream numbers of `data`.
inline constexpr char stream_content = 0;
inline constexpr char stream_out = 1;
inline constexpr char stream_err = 2;

std::uint32_t crc32(std::string_view data, std::uint32_t before = 0) noexcept;

/// throws  usage: the payload is larger than max_payload
std::string encode(const Frame& frame);

Frame json_frame(FrameType type, std::uint64_t epoch, std::uint32_t request, const Json& payload);
Frame data_frame(std::uint64_t epoch, std::uint32_t request, char stream, std::string_view bytes);
Frame credit_frame(std::uint64_t epoch, std::uint32_t request, std::uint32_t bytes);
/// The bytes granted; 0 for a malformed payload.
std::uint32_t credit_of(const Frame& frame) noexcept;

/// Turns bytes, in pieces of any size, into frames. Never holds more than one frame and one read.
class Decoder {
public:
    void feed(std::string_view bytes);
    /// The next whole frame; nullopt when more bytes are needed.
    std::optional<Frame> next();
    /// Bytes thrown away because no frame began there.
    [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }

private:
    void drop(std::size_t bytes);

    std::string held_;
    std::uint64_t skipped_ = 0;
};

} // namespace stemma::guest
