#pragma once

#include "stemma/core/fd.hpp"
#include "stemma/guest/frame.hpp"

#include <chrono>
#include <deque>
#include <exception>
#include <optional>
#include <string>

namespace stemma::guest {

/// The device of the virtio-serial port with our name; nullopt while there is none.
std::optional<std::string> find_port();

/// The host went away, or asked for a new epoch: whatever was under way is over.
class Abandoned : public std::exception {
public:
    [[nodiscard]] const char* what() const noexcept override
    {
        return "the host went away in the middle of something";
    }
};

/// Frames over a file descriptor: the virtio port, or a socket in tests.
///
/// A virtio port reads as ended while no host is connected; that means "wait" and not "closed".
class Port {
public:
    /// ends  true for a socket, whose end is the end
    Port(Fd fd, bool ends);

    /// The next frame; nullopt when the time is over.
    /// throws  Abandoned: the other side of a socket closed it
    std::optional<Frame> receive(std::chrono::milliseconds patience);
    /// Blocks while the host does not read.
    /// throws  Abandoned: no host is connected any more
    void send(const Frame& frame);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Puts a frame back to be received next.
    void unread(Frame frame) { pending_.push_front(std::move(frame)); }
    [[nodiscard]] bool has_pending() const noexcept { return !pending_.empty(); }
    /// The other side of a socket closed it.
    [[nodiscard]] bool ended() const noexcept { return ended_; }

private:
    /// Reads what is there; false when a wait is needed.
    bool read_some();

    Fd fd_;
    bool ends_;
    bool ended_ = false;
    Decoder decoder_;
    std::deque<Frame> pending_;
};

} // namespace stemma::guest
