#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/json.hpp"
#include "stemma/guest/frame.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace stemma::virt {

class Domain;

/// Bytes to and from a virtio-serial port of a VM. Not for several threads.
class ByteChannel {
public:
    virtual ~ByteChannel() = default;
    ByteChannel() = default;
    ByteChannel(const ByteChannel&) = delete;
    ByteChannel& operator=(const ByteChannel&) = delete;

    /// Sends all of it, waiting at most `patience`.
    /// throws  remote: the VM or its host went away, or does not take it in time
    virtual void send(std::string_view bytes, std::chrono::milliseconds patience) = 0;
    /// What came; empty when nothing does within `patience`.
    /// throws  remote: the VM or its host went away
    virtual std::string receive(std::chrono::milliseconds patience) = 0;
};

/// The host's end of a port that is a Unix socket on this machine. One client at a time: a second
/// one waits in QEMU's queue and gets no answer.
/// throws  not_found: no such socket (the VM does not run); remote
std::unique_ptr<ByteChannel> connect_unix(const std::string& path);
/// The host's end of a domain's port: its socket where the daemon is on this machine, else a stream
/// over a connection of its own (a guest that does not read may get that connection closed).
/// port    "org.stemma.guest.0"
/// socket  the path that the domain's XML names
/// throws  not_found, remote
std::unique_ptr<ByteChannel>
open_channel(const Domain& domain, const std::string& port, const std::string& socket);
/// A connected socket that is there already.
std::unique_ptr<ByteChannel> channel_over(Fd socket);

/// Talks to the helper inside a VM; see stemma/guest/frame.hpp for the rules of the wire. Whatever
/// the guest sends is checked; a silent one costs `patience` and no more.
class GuestClient {
public:
    /// epoch   a number that was never used for this VM before
    /// cancel  may be null; borrowed
    GuestClient(std::unique_ptr<ByteChannel> channel, std::uint64_t epoch, const Cancel* cancel);

    /// Says hello until the helper answers.
    /// returns  its welcome: {"protocol","helper","boot_id","operations"}
    /// throws   remote: it does not answer within `patience`
    Json hello(std::chrono::milliseconds patience);

    struct Request {
        Json body;                          ///< {"op": …}
        std::chrono::milliseconds patience; ///< until the end of the request
        /// Content that goes with it: gives the next piece, empty at the end; null: none.
        std::function<std::string()> content = nullptr;
        /// Gets the guest's content by stream number; may be null.
        std::function<void(char stream, std::string_view bytes)> sink = nullptr;
        /// After so long without a word the helper is asked whether it still knows of the request.
        std::chrono::milliseconds silence{5000};
    };
    /// throws  what the helper reports, with its code; remote: no answer in time, or the helper was
    ///         started anew (its guest rebooted) and will never answer; corrupt: nonsense
    Json request(const Request& request);

private:
    using Deadline = std::chrono::steady_clock::time_point;
    guest::Frame next_frame(Deadline deadline, const Request& request);
    std::optional<guest::Frame> try_frame(Deadline deadline);
    void send(const guest::Frame& frame);
    void push_content(const Request& request);
    void take_data(const Request& request, const guest::Frame& frame);

    std::unique_ptr<ByteChannel> channel_;
    std::uint64_t epoch_;
    const Cancel* cancel_;
    guest::Decoder decoder_;
    std::uint32_t number_ = 0;
    // Of the request under way.
    std::int64_t credit_ = 0;
    std::uint32_t consumed_ = 0;
    std::string content_;
    bool content_ended_ = true;
};

} // namespace stemma::virt
