// A virtio port of a VM on another machine, as a stream of its daemon.

#include "stemma/virt/connection.hpp"
#include "stemma/virt/guest_client.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace stemma::virt {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t console_piece = 65536;
/// More than a helper may send ahead; a guest that sends more is left waiting.
constexpr std::size_t max_held = std::size_t{1} << 20U;
constexpr int not_now = -2;

/// What arrived and was not taken yet. Shared with libvirt's event thread.
class Inbox {
public:
    /// In the event thread: takes all that is there.
    void drain(virStreamPtr stream, int events) noexcept
    {
        const std::lock_guard lock(mutex_);
        try {
            receive(stream);
        } catch (...) {
            closed_ = true; // out of memory
        }
        constexpr int ends = VIR_STREAM_EVENT_HANGUP | VIR_STREAM_EVENT_ERROR;
        closed_ = closed_ || (events & ends) != 0;
        if (held_.size() > max_held) {
            virStreamEventUpdateCallback(stream, ends);
            paused_ = true;
        }
        arrived_.notify_all();
    }
    std::string take(virStreamPtr stream, std::chrono::milliseconds patience)
    {
        std::unique_lock lock(mutex_);
        arrived_.wait_for(lock, patience, [&] { return !held_.empty() || closed_; });
        if (held_.empty() && closed_) {
            throw Error(ErrorCode::remote, "the VM's channel was closed: has it stopped?");
        }
        auto taken = std::move(held_);
        held_.clear();
        const bool resume = std::exchange(paused_, false);
        lock.unlock();
        if (resume) {
            virStreamEventUpdateCallback(stream,
                                         VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_HANGUP |
                                             VIR_STREAM_EVENT_ERROR);
        }
        return taken;
    }

private:
    void receive(virStreamPtr stream)
    {
        std::string piece(console_piece, '\0');
        while (held_.size() <= max_held) {
            const int got = virStreamRecv(stream, piece.data(), piece.size());
            if (got == not_now) {
                return;
            }
            if (got <= 0) {
                closed_ = true;
                return;
            }
            held_.append(piece, 0, static_cast<std::size_t>(got));
        }
    }

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::string held_;
    bool closed_ = false;
    bool paused_ = false;
};

void on_stream(virStreamPtr stream, int events, void* data)
{
    (*static_cast<std::shared_ptr<Inbox>*>(data))->drain(stream, events);
}

void forget_inbox(void* data)
{
    delete static_cast<std::shared_ptr<Inbox>*>(data); // NOLINT: libvirt owned it
}

class StreamChannel final : public ByteChannel {
public:
    StreamChannel(Connection connection, const std::string& uuid, const std::string& port)
        : connection_(std::move(connection))
    {
        const auto domain = connection_.find_by_uuid(uuid);
        if (!domain) {
            throw Error(ErrorCode::not_found, "its host does not know VM " + uuid);
        }
        stream_.reset(virStreamNew(connection_.raw(), VIR_STREAM_NONBLOCK), virStreamFree);
        if (!stream_ || virDomainOpenChannel(domain->raw(), port.c_str(), stream_.get(), 0) < 0) {
            throw last_error("open the channel of " + domain->name());
        }
        constexpr int events =
            VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_HANGUP | VIR_STREAM_EVENT_ERROR;
        auto* shared = new std::shared_ptr<Inbox>(inbox_); // NOLINT: given to libvirt
        if (virStreamEventAddCallback(stream_.get(), events, on_stream, shared, forget_inbox) < 0) {
            forget_inbox(shared);
            throw last_error("follow the channel of " + domain->name());
        }
    }
    ~StreamChannel() override
    {
        virStreamEventRemoveCallback(stream_.get());
        virStreamAbort(stream_.get());
    }
    StreamChannel(const StreamChannel&) = delete;
    StreamChannel& operator=(const StreamChannel&) = delete;

    void send(std::string_view bytes, std::chrono::milliseconds patience) override
    {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!bytes.empty()) {
            const int sent =
                virStreamSend(stream_.get(), bytes.data(), std::min(bytes.size(), console_piece));
            if (sent > 0) {
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            } else if (sent != not_now) {
                throw last_error("write to the VM's channel");
            } else if (std::chrono::steady_clock::now() > deadline) {
                throw Error(ErrorCode::remote, "the VM does not read from its channel");
            } else {
                std::this_thread::sleep_for(2ms);
            }
        }
    }

    std::string receive(std::chrono::milliseconds patience) override
    {
        return inbox_->take(stream_.get(), patience);
    }

private:
    Connection connection_; // of its own: a guest that does not read may get it closed
    std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
    std::shared_ptr<virStream> stream_;
};

} // namespace

std::unique_ptr<ByteChannel>
open_channel(const Domain& domain, const std::string& port, const std::string& socket)
{
    const auto uri = domain.host_uri();
    if (is_local(uri) && ::access(socket.c_str(), F_OK) == 0) {
        return connect_unix(socket);
    }
    return std::make_unique<StreamChannel>(Connection::open(uri), domain.uuid(), port);
}

} // namespace stemma::virt
