#pragma once

#include "stemma/core/fd.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace stemma::jail {

/// Messages over a stream socket: a length of four bytes in the machine's order, then the bytes.
/// Both ends are on one machine and of one program, so there is no version.
class Channel {
public:
    static constexpr std::size_t most = std::size_t{4} << 20U; ///< bytes of one message

    explicit Channel(Fd socket) noexcept : socket_(std::move(socket)) {}

    /// From now on this process may spend `limit` of processor time between two messages; then
    /// SIGPROF ends it.
    void limit_processor(std::chrono::seconds limit) noexcept
    {
        limit_ = limit;
        restart_clock();
    }

    /// throws  io: the other side is gone; usage: longer than `most`
    void send(std::string_view message);
    /// Waits for the next message; nullopt when the other side is gone, in mid-message too.
    /// throws  corrupt: longer than `most`
    std::optional<std::string> receive();
    /// True when receive() has something to look at, or within `patience`.
    [[nodiscard]] bool has_message(std::chrono::milliseconds patience = {}) const noexcept;
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

private:
    void restart_clock() const noexcept;
    bool fill(char* into, std::size_t length);
    Fd socket_;
    std::chrono::seconds limit_{0};
};

} // namespace stemma::jail
